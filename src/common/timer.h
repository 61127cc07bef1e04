#pragma once

#include <chrono>

namespace shine {

/// Seconds since construction, or since a given moment.
class Timer {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Timer(Clock::time_point start = Clock::now()) : start_(start) {}
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

 private:
  Clock::time_point start_;
};

}  // namespace shine
