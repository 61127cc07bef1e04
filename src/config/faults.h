#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace shine {

/// Collects all faults of a configuration, so that they are reported at once.
class Faults {
 public:
  /// @param place  "file:line" or "override `key=value`"; may be empty
  void add(std::string_view place, std::string_view what);
  bool empty() const { return lines_.empty(); }
  const std::vector<std::string>& lines() const { return lines_; }

  /// Throws ConfigError when there are faults: the fault itself if there is one, else
  /// "N faults in SUBJECT:" followed by one indented line per fault.
  void throw_if_any(std::string_view subject) const;

 private:
  std::vector<std::string> lines_;
};

}  // namespace shine
