#include "config/quote.h"

#include <array>
#include <cstdio>

namespace shine {

std::string quote(std::string_view text) {
  constexpr std::size_t most_bytes = 80;
  std::size_t end = text.size();
  if (end > most_bytes) {
    end = most_bytes;
    const auto continues = [&] { return (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U; };
    while (end > 0 && continues()) --end;
  }
  std::string quoted = "`";
  for (const char c : text.substr(0, end)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= ' ' && byte != 0x7F) {
      quoted += c;
    } else {
      std::array<char, 5> code{};
      std::snprintf(code.data(), code.size(), "\\x%02X", byte);
      quoted += code.data();
    }
  }
  if (end < text.size()) quoted += "..";
  return quoted + "`";
}

}  // namespace shine
