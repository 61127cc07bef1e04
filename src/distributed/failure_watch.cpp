#include "distributed/failure_watch.h"

#include <utility>

#include "common/main_guard.h"
#include "distributed/store.h"
#include "shine/common/str.h"

namespace shine {
namespace {

constexpr const char* kLeft = "left";

std::string sign_of_life(int rank) {
  return str("alive.", rank);
}

std::string store_lost(const Launch& launch) {
  return str("lost the connection to ", launch.agent_store ? "torchrun's store" : "rank 0",
             " (what it wrote last says why)");
}

}  // namespace

FailureWatch::FailureWatch(c10::intrusive_ptr<c10d::Store> store, const Launch& launch, FailureWatchOptions options)
    : store_(std::move(store)),
      launch_(launch),
      options_(std::move(options)),
      watchdog_(options_.silence_seconds, store_lost(launch)),
      thread_([this] { watch(); }) {}

FailureWatch::~FailureWatch() {
  stop();
}

void FailureWatch::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void FailureWatch::watch() {
  const std::chrono::duration<double> period(options_.poll_seconds);
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, period, [this] { return stopping_; })) {
    lock.unlock();
    std::string lost;
    try {
      look();
    } catch (const std::exception&) {
      lost = store_lost(launch_);
    }
    lock.lock();
    // If this rank is ending too, report its own reason.
    if (!lost.empty() && !stopping_) end_process(lost);
  }
}

void FailureWatch::look() {
  const std::string fault = options_.own_fault();
  const Watchdog::Guard guard(watchdog_);
  store_->add(sign_of_life(launch_.rank), 1);
  const std::string failure = hear_failure(*store_, launch_, serve_seconds());
  if (!failure.empty()) end_process(str("ends with the job: ", failure));
  if (!fault.empty()) {
    publish(launch_.rank, fault);
    end_process(fault);
  }
  if (launch_.size > 1) look_at_next();
}

void FailureWatch::look_at_next() {
  const int next = (launch_.rank + 1) % launch_.size;
  const std::int64_t signs = store_->add(sign_of_life(next), 0);
  const Clock::time_point now = Clock::now();
  if (signs != std::exchange(signs_of_next_, signs)) next_lived_ = now;
  if (std::chrono::duration<double>(now - next_lived_).count() < options_.silence_seconds) return;
  const std::string reason = str("no sign of life for ", options_.silence_seconds, " s");
  publish(next, reason);
  end_process(str("ends with the job: rank ", next, ": ", reason));
}

void FailureWatch::publish(int rank, std::string_view reason) {
  publish_failure(*store_, launch_, rank, reason, serve_seconds());
}

void FailureWatch::fail(std::string_view reason) noexcept {
  if (std::exchange(over_, true)) return;
  try {
    stop();
    const Watchdog::Guard guard(watchdog_);
    publish(launch_.rank, reason);
  } catch (const std::exception&) {
    // The store is gone; the others notice that themselves.
  }
}

void FailureWatch::leave() noexcept {
  over_ = true;
  try {
    stop();
    const Watchdog::Guard guard(watchdog_);
    store_->add(kLeft, 1);
    serve_until_all(*store_, launch_, kLeft, serve_seconds());
  } catch (const std::exception&) {
    // Rank 0 is gone: after the last barrier nobody needs it.
  }
}

}  // namespace shine
