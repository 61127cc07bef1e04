#pragma once

#include <string>
#include <string_view>

namespace shine {

/// A file's text for an error message: in quotes, control characters as '?', cut after 200 bytes.
inline std::string quote_text(std::string_view text) {
  constexpr std::size_t max_bytes = 200;
  std::string result = "\"";
  for (const char c : text.substr(0, max_bytes)) result += static_cast<unsigned char>(c) < ' ' || c == '\x7f' ? '?' : c;
  return result + (text.size() > max_bytes ? "..\"" : "\"");
}

}  // namespace shine
