#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "shine/common/api.h"
#include "shine/config/run_config.h"

namespace shine {

/// Shows the progress of a long job on standard error: one line rewritten in place on a terminal; elsewhere, in a file
/// or a pipe, plain lines, at most one in ten seconds and the last.
class ProgressLine {
 public:
  static constexpr double kSecondsBetweenLines = 10.0;

  /// @param form     automatic: a bar if standard error is a terminal that can rewrite a line, else plain lines
  /// @param seconds  a clock
  explicit ProgressLine(ProgressForm form, std::function<double()> seconds = steady_seconds);

  /// Ends a rewritten line, or prints the last plain one if it was held back.
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  /// Shows `done` of `total` and the text.
  void show(std::int64_t done, std::int64_t total, const std::string& text);

  /// Clears a rewritten line, so that a message can be printed.
  void interrupt();

 private:
  void print(const std::string& text);
  static double steady_seconds();

  ProgressForm form_;
  std::function<double()> seconds_;
  std::optional<double> printed_at_;  ///< the last plain line
  std::string held_back_;             ///< a plain line that came too soon after it
  bool dirty_ = false;
};

/// "1:02:03" or "2:03" of seconds.
SHINE_API std::string duration_text(double seconds);

}  // namespace shine
