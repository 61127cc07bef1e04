#include <cstring>
#include <set>

#include "io/files/pieces.h"
#include "io/files/posix_file.h"
#include "io/gguf/gguf_file.h"
#include "io/gguf/gguf_format.h"
#include "io/json/quote_text.h"
#include "shine/common/error.h"

namespace shine {
namespace {

using gguf::ValueType;

constexpr auto kAlignment = static_cast<std::size_t>(gguf::kDefaultAlignment);

std::size_t aligned(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

/// The bytes of a header, little-endian.
class HeaderText {
 public:
  template <class Number>
  void number(Number value) {
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    text_.append(bytes, sizeof value);
  }

  void text(std::string_view value) {
    number<std::uint64_t>(value.size());
    text_ += value;
  }

  void value(const GgufValue& value) {
    if (const auto* flag = std::get_if<bool>(&value)) {
      type(ValueType::boolean);
      number<std::uint8_t>(*flag ? 1 : 0);
    } else if (const auto* integer = std::get_if<std::int64_t>(&value)) {
      const bool is_short = std::in_range<std::uint32_t>(*integer);
      type(is_short ? ValueType::uint32 : ValueType::int64);
      is_short ? number(static_cast<std::uint32_t>(*integer)) : number(*integer);
    } else if (const auto* real = std::get_if<double>(&value)) {
      type(ValueType::float32);  // what llama.cpp's own keys are
      number(static_cast<float>(*real));
    } else {
      type(ValueType::string);
      text(std::get<std::string>(value));
    }
  }

  void raw(std::string_view bytes) { text_ += bytes; }
  void pad() { text_.resize(aligned(text_.size()), '\0'); }
  const std::string& bytes() const { return text_; }

 private:
  void type(ValueType type) { number(static_cast<std::uint32_t>(type)); }

  std::string text_;
};

std::uint32_t number_of(DType dtype, const std::string& where) {
  for (const gguf::TensorType& type : gguf::kTensorTypes) {
    if (type.dtype == dtype) return type.number;
  }
  throw UnsupportedError(str("GGUF files of ", name_of(dtype), " are not written here"), where,
                         "use float32, float16 or bfloat16");
}

void check(const NamedRawTensors& tensors, const std::string& where) {
  std::set<std::string_view> names;
  for (const auto& [name, tensor] : tensors) {
    SHINE_CHECK(name.size() <= gguf::kMaxNameBytes, FormatError, where, ": the name ", quote_text(name), " has ",
                name.size(), " bytes, the format allows ", gguf::kMaxNameBytes);
    SHINE_CHECK(names.insert(name).second, FormatError, where, ": two tensors are named ", quote_text(name));
    SHINE_CHECK(tensor.shape.size() <= gguf::kMaxAxes, FormatError, where, ": tensor ", quote_text(name), " has ",
                tensor.shape.size(), " axes, the format allows ", gguf::kMaxAxes);
    SHINE_CHECK(bytes_of(tensor.dtype, tensor.shape) == tensor.bytes, FormatError, where, ": tensor ", quote_text(name),
                " has ", tensor.bytes, " bytes, not what its shape [", join(tensor.shape, ", "), "] needs");
  }
}

}  // namespace

void write_gguf(const std::filesystem::path& path, const NamedRawTensors& tensors,
                const std::vector<std::pair<std::string, GgufValue>>& metadata) {
  const std::string where = path.string();
  check(tensors, where);
  HeaderText header;
  header.raw(gguf::kMagic);
  header.number(gguf::kVersion);
  header.number<std::uint64_t>(tensors.size());
  header.number<std::uint64_t>(metadata.size() + 1);
  for (const auto& [key, value] : metadata) {
    header.text(key);
    header.value(value);
  }
  header.text(gguf::kAlignmentKey);
  header.value(gguf::kDefaultAlignment);
  std::size_t place = 0;
  for (const auto& [name, tensor] : tensors) {
    header.text(name);
    header.number(static_cast<std::uint32_t>(tensor.shape.size()));
    for (auto size = tensor.shape.rbegin(); size != tensor.shape.rend(); ++size) {
      header.number(static_cast<std::uint64_t>(*size));
    }
    header.number(number_of(tensor.dtype, where));
    header.number<std::uint64_t>(place);
    place += aligned(tensor.bytes);
  }
  header.pad();

  PendingFile file(path);
  file.write(header.bytes());
  const std::string zeros(kAlignment, '\0');
  for (const auto& item : tensors) {
    const RawTensor& tensor = item.second;
    for_each_piece(tensor, [&](std::span<const std::byte> piece) { file.write(piece.data(), piece.size()); });
    file.write(std::string_view(zeros).substr(0, aligned(tensor.bytes) - tensor.bytes));
  }
  file.commit();
}

}  // namespace shine
