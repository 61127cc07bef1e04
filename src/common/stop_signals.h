#pragma once

#include <string>

#include "shine/common/api.h"

namespace shine {

/// Exit status of a program that was asked to stop and can be run again to go on (EX_TEMPFAIL of sysexits.h).
inline constexpr int kExitStopped = 75;

/// SIGINT, SIGTERM, SIGUSR1 (which launchers of several ranks hand on) and SIGHUP (unless it is ignored, as by nohup)
/// while this object lives. At first they end the process at once, with status 75: there is nothing to save. After
/// hold() the first signal is only noted, and a second one ends the process as the signal would have. The notices on
/// standard error come from the first process of a job alone (is_first_process). One object at a time.
class SHINE_API StopSignals {
 public:
  StopSignals();

  /// Gives the signals back their former handling.
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  void hold();

  /// "SIGINT", "SIGTERM", "SIGUSR1" or "SIGHUP" once it was noted, else empty.
  std::string received() const;
};

}  // namespace shine
