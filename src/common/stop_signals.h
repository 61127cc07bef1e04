#pragma once

#include <string>

#include "shine/common/api.h"

namespace shine {

/// Exit status of a program that was asked to stop; run again, it continues (EX_TEMPFAIL of sysexits.h).
inline constexpr int kExitStopped = 75;

/// Handles SIGINT, SIGTERM, SIGUSR1 (which launchers of several ranks pass on) and SIGHUP (unless it is ignored, as
/// under nohup) while it lives. Before hold() they end the process at once, with status 75: there is nothing to save.
/// After hold() the first signal is only noted, and a second one ends the process as the signal would have. Only the
/// first process of a job (is_first_process) writes notices on standard error. One object at a time.
class SHINE_API StopSignals {
 public:
  StopSignals();

  /// Restores the former handlers.
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  void hold();

  /// "SIGINT", "SIGTERM", "SIGUSR1" or "SIGHUP" once it was noted, else empty.
  std::string received() const;
};

}  // namespace shine
