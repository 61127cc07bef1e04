#pragma once

#include <string_view>

namespace shine {

/// The text up to its first line break: an error is one line, and libraries append stack traces.
inline std::string_view first_line(std::string_view text) {
  return text.substr(0, text.find('\n'));
}

}  // namespace shine
