#pragma once

#include <cstdint>
#include <string>

#include "shine/common/api.h"
#include "shine/config/run_config.h"

namespace shine {

/// Shows the progress of a long job on standard error: one line rewritten in place on a terminal, plain lines
/// elsewhere.
class ProgressLine {
 public:
  /// automatic: a bar if standard error is a terminal, plain lines otherwise.
  explicit ProgressLine(ProgressForm form);

  /// Ends a rewritten line.
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  /// Shows `done` of `total` and the text.
  void show(std::int64_t done, std::int64_t total, const std::string& text);

  /// Clears a rewritten line, so that a message can be printed.
  void interrupt();

 private:
  ProgressForm form_;
  bool dirty_ = false;
};

/// "1:02:03" or "2:03" of seconds.
SHINE_API std::string duration_text(double seconds);

}  // namespace shine
