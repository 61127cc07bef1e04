#include "io/gguf/gguf_writer.h"

#include <bit>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>

#include "io/files/pieces.h"
#include "io/files/posix_file.h"
#include "io/json/quote_text.h"
#include "shine/common/error.h"

namespace shine {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF files are written as little-endian");

constexpr std::uint32_t kVersion = 3;

template <class Number>
void put(std::string& to, Number number) {
  static_assert(std::is_arithmetic_v<Number>);
  to.append(reinterpret_cast<const char*>(&number), sizeof number);
}

void put_text(std::string& to, std::string_view text) {
  put(to, std::uint64_t{text.size()});
  to += text;
}

void put_value(std::string& to, const GgufValue& value);

struct ValueWriter {
  std::string& to;

  void operator()(const std::string& text) const { put_text(to, text); }
  void operator()(const GgufArray& array) const {
    put(to, static_cast<std::uint32_t>(array.type));
    put(to, std::uint64_t{array.values.size()});
    for (const GgufValue& value : array.values) {
      SHINE_CHECK(value.value.index() == array.type, FormatError, "a GGUF array of type ", array.type,
                  " has a value of type ", value.value.index());
      put_value(to, value);
    }
  }
  template <class Number>
  void operator()(Number number) const {
    put(to, number);
  }
};

void put_value(std::string& to, const GgufValue& value) {
  std::visit(ValueWriter{to}, value.value);
}

std::uint32_t type_of(DType dtype, const std::string& where) {
  switch (dtype) {
    case DType::float32: return 0;
    case DType::float16: return 1;
    case DType::bfloat16: return 30;
    default: throw UnsupportedError(str(name_of(dtype), " in a GGUF file"), where, "F32, F16 and BF16 are supported");
  }
}

std::size_t padding_behind(std::size_t bytes) {
  return (kGgufAlignment - bytes % kGgufAlignment) % kGgufAlignment;
}

void put_entry(std::string& to, const std::string& name, const RawTensor& tensor, std::uint64_t offset,
               const std::string& where) {
  SHINE_CHECK(name.size() <= kMaxGgufNameBytes, FormatError, where, ": the name has ", name.size(),
              " bytes, the format allows ", kMaxGgufNameBytes);
  SHINE_CHECK(!tensor.shape.empty() && tensor.shape.size() <= kMaxGgufDimensions, FormatError, where, ": ",
              tensor.shape.size(), " dimensions, the format allows 1 to ", kMaxGgufDimensions);
  SHINE_CHECK(bytes_of(tensor.dtype, tensor.shape) == tensor.bytes, FormatError, where, ": ", tensor.bytes,
              " bytes, not what its shape [", join(tensor.shape, ", "), "] needs");
  put_text(to, name);
  put(to, static_cast<std::uint32_t>(tensor.shape.size()));
  for (auto size = tensor.shape.rbegin(); size != tensor.shape.rend(); ++size) {
    put(to, static_cast<std::uint64_t>(*size));
  }
  put(to, type_of(tensor.dtype, where));
  put(to, offset);
}

}  // namespace

void write_gguf(const std::filesystem::path& path, const NamedRawTensors& tensors, const GgufMetadata& metadata) {
  SHINE_CHECK(!metadata.contains(kGgufAlignmentKey), FormatError, path.string(), ": the alignment is always ",
              kGgufAlignment);
  std::string header = "GGUF";
  put(header, kVersion);
  put(header, std::uint64_t{tensors.size()});
  put(header, std::uint64_t{metadata.size()});
  for (const auto& [key, value] : metadata) {
    put_text(header, key);
    put(header, static_cast<std::uint32_t>(value.value.index()));
    put_value(header, value);
  }
  std::set<std::string_view> names;
  std::uint64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    const std::string where = str(path.string(), ": tensor ", quote_text(name));
    SHINE_CHECK(names.insert(name).second, FormatError, where, ": it is there twice");
    put_entry(header, name, tensor, offset, where);
    offset += tensor.bytes + padding_behind(tensor.bytes);
  }
  header.append(padding_behind(header.size()), '\0');
  PendingFile file(path);
  file.write(header);
  for (const auto& [name, tensor] : tensors) {
    for_each_piece(tensor, [&](std::span<const std::byte> piece) { file.write(piece.data(), piece.size()); });
    file.write(std::string(padding_behind(tensor.bytes), '\0'));
  }
  file.commit();
}

}  // namespace shine
