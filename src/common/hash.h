#pragma once

#include <bit>
#include <cstdint>
#include <string_view>

namespace shine {

/// 64-bit FNV-1a (Fowler, Noll, Vo) of everything added, in order: tells whether two runs have the same data. The same
/// on every machine; not cryptographic.
class Fnv1a {
 public:
  /// The plain bytes, so that {"a", "b"} and {"ab"} are equal: add a length between parts that vary.
  Fnv1a& add_bytes(std::string_view bytes) {
    for (const char byte : bytes) add_byte(static_cast<unsigned char>(byte));
    return *this;
  }

  /// Eight bytes, the lowest first.
  Fnv1a& add(std::uint64_t value) {
    for (int shift = 0; shift < 64; shift += 8) add_byte(static_cast<unsigned char>(value >> shift));
    return *this;
  }
  Fnv1a& add(std::int64_t value) { return add(static_cast<std::uint64_t>(value)); }
  Fnv1a& add(double value) { return add(std::bit_cast<std::uint64_t>(value)); }

  std::uint64_t value() const { return value_; }

 private:
  void add_byte(unsigned char byte) { value_ = (value_ ^ byte) * 0x100000001B3; }

  std::uint64_t value_ = 0xCBF29CE484222325;
};

}  // namespace shine
