#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "shine/common/error.h"

namespace shine {

/// Reads little-endian numbers and byte strings from a range of memory; reading past the end is a FormatError.
class ByteReader {
 public:
  ByteReader(std::span<const std::byte> bytes, std::string where) : bytes_(bytes), where_(std::move(where)) {}

  std::size_t position() const { return position_; }
  std::size_t left() const { return bytes_.size() - position_; }

  template <class Number>
  Number read() {
    static_assert(std::is_trivially_copyable_v<Number>);
    Number number;
    std::memcpy(&number, take(sizeof number).data(), sizeof number);
    return number;
  }

  std::span<const std::byte> take(std::size_t count) {
    if (count > left()) fail(str("needs ", count, " more bytes, ", left(), " are left"));
    position_ += count;
    return bytes_.subspan(position_ - count, count);
  }

  std::string_view take_text(std::size_t count) {
    const auto taken = take(count);
    return {reinterpret_cast<const char*>(taken.data()), taken.size()};
  }

  /// The text up to the next newline, which is skipped.
  std::string_view take_line() {
    const std::string_view rest(reinterpret_cast<const char*>(bytes_.data()) + position_, left());
    const std::size_t length = rest.find('\n');
    if (length == std::string_view::npos) fail("a line without an end");
    return take_text(length + 1).substr(0, length);
  }

  void skip(std::size_t count) { take(count); }

  [[noreturn]] void fail(const std::string& what) const { throw FormatError(what, str(where_, ": byte ", position_)); }

 private:
  std::span<const std::byte> bytes_;
  std::string where_;
  std::size_t position_ = 0;
};

}  // namespace shine
