#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace shine {

/// UTF-16 or UTF-32, by the bytes of a unit and their order.
struct WideEncoding {
  std::size_t unit_bytes = 2;
  bool big_endian = false;
};

/// Appends the characters of `bytes` to `text` as UTF-8 and returns how many bytes that took: what may go on in bytes
/// still to come is left, unless `at_end`. What is no character becomes a byte 0xFF, which is no UTF-8 either: it is
/// repaired and counted like the damaged bytes of any other text.
std::size_t append_wide_text(WideEncoding encoding, std::string_view bytes, bool at_end, std::string& text);

}  // namespace shine
