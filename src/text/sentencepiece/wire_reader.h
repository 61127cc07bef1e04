#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace shine {

/// One field of a protocol-buffer message.
struct WireField {
  enum class Kind { varint, fixed64, bytes, fixed32 };
  std::uint32_t number = 0;
  Kind kind = Kind::varint;
  std::uint64_t integer = 0;  // varint, fixed64, fixed32
  std::string_view bytes;     // a string or an inner message
};

/// Reads the fields of a protocol-buffer message in the order they are stored. Whatever is not well-formed is a
/// FormatError.
class WireReader {
 public:
  /// @param where  start of error messages; `message` must outlive this object
  WireReader(std::string_view message, std::string where) : rest_(message), where_(std::move(where)) {}

  /// Nothing at the end.
  std::optional<WireField> next();

  /// The value of a field of this type; another type is a FormatError.
  std::string_view text(const WireField& field) const;
  bool flag(const WireField& field) const;
  std::int64_t integer(const WireField& field) const;
  float number(const WireField& field) const;

 private:
  std::uint64_t take_varint();
  std::uint64_t take_fixed(std::size_t bytes);
  void expect(const WireField& field, WireField::Kind kind) const;
  [[noreturn]] void fail(const std::string& what) const;

  std::string_view rest_;
  std::string where_;
};

}  // namespace shine
