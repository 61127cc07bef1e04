#pragma once

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <thread>

namespace shine {

/// Pauses for a thread that asks again and again whether something has come: at first none but for who wants the core,
/// then a part of the time waited so far. So what comes late is noticed late by that part, half a millisecond at most,
/// and a core is kept only for the first moments.
class Backoff {
 public:
  void pause() const {
    const Clock::duration waited = Clock::now() - start_;
    if (waited < kEager) {
      ::sched_yield();
    } else {
      std::this_thread::sleep_for(std::min<Clock::duration>(waited / kPart, kLongest));
    }
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::microseconds kEager{200}, kLongest{500};
  static constexpr int kPart = 8;

  Clock::time_point start_ = Clock::now();
};

}  // namespace shine
