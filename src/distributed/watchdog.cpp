#include "distributed/watchdog.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "common/main_guard.h"
#include "shine/common/str.h"

namespace shine {
namespace {

std::int64_t now() {
  return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

Watchdog::Watchdog(double timeout_seconds, std::string fault)
    : timeout_seconds_(timeout_seconds), fault_(std::move(fault)), thread_([this] { watch(); }) {}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Watchdog::watch() {
  const std::chrono::duration<double> period(std::clamp(timeout_seconds_ / 10, 0.01, 1.0));
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, period, [this] { return stopping_; })) {
    const std::int64_t since = waiting_since_;
    if (since != 0 && static_cast<double>(now() - since) >= timeout_seconds_ * 1e9) end_process(fault_);
  }
}

Watchdog::Guard::Guard(Watchdog& watchdog) : watchdog_(watchdog) {
  watchdog_.waiting_since_ = now();
}

Watchdog::Guard::~Guard() {
  watchdog_.waiting_since_ = 0;
}

std::string collective_timeout_fault(double timeout_seconds) {
  return str("this rank has waited ", timeout_seconds,
             " s for the other ranks (one hangs or is gone; or raise run.rank_timeout)");
}

}  // namespace shine
