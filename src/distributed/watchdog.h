#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

namespace shine {

/// Ends the process, as end_process does, when it waits too long for others; the launcher then ends the other ranks.
class Watchdog {
 public:
  /// @param fault  what is said then
  Watchdog(double timeout_seconds, std::string fault);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  /// This process waits for others while it lives. One at a time.
  class Guard {
   public:
    explicit Guard(Watchdog& watchdog);
    ~Guard();
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    Watchdog& watchdog_;
  };

 private:
  void watch();

  double timeout_seconds_;
  std::string fault_;
  std::atomic<std::int64_t> waiting_since_{0};  ///< nanoseconds of the steady clock; 0: it does not wait
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::thread thread_;
};

/// The message of a rank that waits too long in a collective.
std::string collective_timeout_fault(double timeout_seconds);

}  // namespace shine
