#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

namespace shine {

/// One short line by a printf format: format("%.3f s", seconds). Cut after 255 characters.
template <class... Values>
std::string format(const char* pattern, Values... values) {
  char text[256];
  std::snprintf(text, sizeof text, pattern, values...);
  return text;
}

/// Sixteen hexadecimal digits.
inline std::string hex_digits(std::uint64_t value) {
  return format("%016llx", static_cast<unsigned long long>(value));
}

}  // namespace shine
