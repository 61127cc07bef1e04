#pragma once

#include <string_view>

namespace shine {

/// The text up to its first line break: errors are one line, and libraries put traces below it.
inline std::string_view first_line(std::string_view text) {
  return text.substr(0, text.find('\n'));
}

}  // namespace shine
