#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "distributed/watchdog.h"
#include "shine/distributed/launch.h"

namespace shine {

struct FailureWatchOptions {
  double poll_seconds = 1;
  double silence_seconds = 15;  ///< a rank silent for so long counts as lost
  /// Asked at every poll, in the watch's thread: why this rank fails; empty if it does not.
  std::function<std::string()> own_fault = [] { return std::string(); };
};

/// Ends this process, as end_process does, when another rank of the job fails: it said so, it is silent (each rank
/// watches the next one), or the store is lost with the process that serves it. All ranks notice within silence_seconds
/// and a few polls. Works through a store in a thread of its own, so a rank that hangs in a collective ends too.
class FailureWatch {
 public:
  /// @param store  a connection of its own, to a store that every rank of the job has joined
  FailureWatch(c10::intrusive_ptr<c10d::Store> store, const Launch& launch, FailureWatchOptions options);
  ~FailureWatch();
  FailureWatch(const FailureWatch&) = delete;
  FailureWatch& operator=(const FailureWatch&) = delete;

  /// Tells the others why this rank ends; the first reason of a job counts, and the first of a rank. The rank that
  /// serves the store waits a few seconds for them to hear it. The watch is over.
  void fail(std::string_view reason) noexcept;

  /// The job is done: after a barrier, on every rank. The watch is over, and the rank that serves the store waits for
  /// the others to leave. The store must not be used afterwards.
  void leave() noexcept;

 private:
  using Clock = std::chrono::steady_clock;

  void stop();
  void watch();
  void look();
  void look_at_next();
  void publish(int rank, std::string_view reason);
  /// Less than the watchdog allows.
  double serve_seconds() const { return options_.silence_seconds / 4; }

  c10::intrusive_ptr<c10d::Store> store_;
  Launch launch_;
  FailureWatchOptions options_;
  std::int64_t signs_of_next_ = 0;
  Clock::time_point next_lived_ = Clock::now();
  Watchdog watchdog_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace shine
