#pragma once

#include <sstream>
#include <string>
#include <string_view>

namespace shine {

/// Concatenates anything that an ostream prints: `str("row ", 3, " of ", path)`.
template <class... Parts>
std::string str(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

/// Joins printable items: `join({1, 2}, ", ")` is "1, 2".
template <class Items>
std::string join(const Items& items, std::string_view separator) {
  std::ostringstream out;
  bool first = true;
  for (const auto& item : items) {
    if (!first) out << separator;
    out << item;
    first = false;
  }
  return out.str();
}

}  // namespace shine
