#pragma once

#include <signal.h>

#include "shine/common/api.h"

namespace shine {

/// Notes Ctrl-C (SIGINT) while it lives, in whichever thread it arrives, instead of ending the process. One object at a
/// time.
class SHINE_API Interrupts {
 public:
  /// Throws IoError where the system grants no descriptor.
  Interrupts();

  /// Restores the former handler.
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  /// Whether one was noted since the last call.
  bool take();

  /// Readable while one is noted: for poll.
  int descriptor() const;

 private:
  struct sigaction former_ {};
};

}  // namespace shine
