#include <algorithm>
#include <bit>
#include <optional>

#include "io/files/byte_reader.h"
#include "io/files/mapped_file.h"
#include "io/gguf/gguf_file.h"
#include "io/gguf/gguf_format.h"
#include "io/json/quote_text.h"
#include "io/safetensors/borrow_tensor.h"
#include "shine/common/error.h"

namespace shine {
namespace {

using gguf::ValueType;

static_assert(std::endian::native == std::endian::little, "GGUF files are little-endian");

constexpr std::uint64_t kMaxCount = 1'000'000;  // of metadata keys, and of tensors
constexpr int kMaxNesting = 8;                  // arrays in arrays

std::size_t fixed_size(ValueType type) {
  switch (type) {
    case ValueType::uint8:
    case ValueType::int8:
    case ValueType::boolean: return 1;
    case ValueType::uint16:
    case ValueType::int16: return 2;
    case ValueType::uint32:
    case ValueType::int32:
    case ValueType::float32: return 4;
    case ValueType::uint64:
    case ValueType::int64:
    case ValueType::float64: return 8;
    case ValueType::string:
    case ValueType::array: break;
  }
  return 0;
}

std::string_view read_text(ByteReader& reader) {
  const auto length = reader.read<std::uint64_t>();
  if (length > reader.left()) reader.fail(str("a text of ", length, " bytes, ", reader.left(), " are left"));
  return reader.take_text(length);
}

ValueType read_type(ByteReader& reader) {
  const auto number = reader.read<std::uint32_t>();
  if (number > static_cast<std::uint32_t>(ValueType::float64)) reader.fail(str("no metadata type ", number));
  return static_cast<ValueType>(number);
}

void skip_array(ByteReader& reader, int depth) {
  if (depth > kMaxNesting) reader.fail(str("arrays nested more than ", kMaxNesting, " deep"));
  const ValueType type = read_type(reader);
  const auto count = reader.read<std::uint64_t>();
  if (const std::size_t size = fixed_size(type); size > 0) {
    if (count > reader.left() / size) reader.fail(str("an array of ", count, " values goes beyond the file"));
    reader.skip(count * size);
    return;
  }
  // Texts and arrays take eight bytes at least.
  if (count > reader.left() / 8) reader.fail(str("an array of ", count, " values goes beyond the file"));
  for (std::uint64_t i = 0; i < count; ++i) {
    if (type == ValueType::array) {
      skip_array(reader, depth + 1);
    } else {
      read_text(reader);
    }
  }
}

template <class Number>
GgufValue read_integer(ByteReader& reader) {
  const auto value = reader.read<Number>();
  if (!std::in_range<std::int64_t>(value)) reader.fail(str("the number ", value, " is too large"));
  return static_cast<std::int64_t>(value);
}

/// Nothing for an array.
std::optional<GgufValue> read_value(ByteReader& reader) {
  switch (read_type(reader)) {
    case ValueType::uint8: return read_integer<std::uint8_t>(reader);
    case ValueType::int8: return read_integer<std::int8_t>(reader);
    case ValueType::uint16: return read_integer<std::uint16_t>(reader);
    case ValueType::int16: return read_integer<std::int16_t>(reader);
    case ValueType::uint32: return read_integer<std::uint32_t>(reader);
    case ValueType::int32: return read_integer<std::int32_t>(reader);
    case ValueType::uint64: return read_integer<std::uint64_t>(reader);
    case ValueType::int64: return read_integer<std::int64_t>(reader);
    case ValueType::float32: return static_cast<double>(reader.read<float>());
    case ValueType::float64: return reader.read<double>();
    case ValueType::boolean: return reader.read<std::uint8_t>() != 0;
    case ValueType::string: return std::string(read_text(reader));
    case ValueType::array: break;
  }
  skip_array(reader, 1);
  return std::nullopt;
}

std::uint64_t read_count(ByteReader& reader, const char* what) {
  const auto count = reader.read<std::uint64_t>();
  if (count > kMaxCount) reader.fail(str(count, " ", what, ", expected at most ", kMaxCount));
  return count;
}

DType read_dtype(ByteReader& reader, const std::string& name, const std::string& where) {
  const auto number = reader.read<std::uint32_t>();
  for (const gguf::TensorType& type : gguf::kTensorTypes) {
    if (type.number == number) return type.dtype;
  }
  throw UnsupportedError(str("tensor ", quote_text(name), " has GGUF type ", number,
                             "; float32, float16 and bfloat16 are read, quantised types are not"),
                         where, "use a file that is not quantised");
}

std::vector<std::int64_t> read_shape(ByteReader& reader) {
  const auto axes = reader.read<std::uint32_t>();
  if (axes > gguf::kMaxAxes) reader.fail(str("a tensor of ", axes, " axes, expected at most ", gguf::kMaxAxes));
  std::vector<std::int64_t> shape(axes);
  for (std::int64_t& size : shape) {
    const auto value = reader.read<std::uint64_t>();
    if (!std::in_range<std::int64_t>(value)) reader.fail(str("a size of ", value));
    size = static_cast<std::int64_t>(value);
  }
  std::ranges::reverse(shape);
  return shape;
}

std::size_t alignment_of(const std::map<std::string, GgufValue>& metadata, const std::string& where) {
  const auto found = metadata.find(gguf::kAlignmentKey);
  if (found == metadata.end()) return gguf::kDefaultAlignment;
  const auto* value = std::get_if<std::int64_t>(&found->second);
  constexpr std::int64_t most = std::int64_t{1} << 20;
  SHINE_CHECK(
      value != nullptr && *value >= 8 && *value <= most && std::has_single_bit(static_cast<std::size_t>(*value)),
      FormatError, where, ": ", gguf::kAlignmentKey, " is no power of two from 8 to ", most);
  return static_cast<std::size_t>(*value);
}

}  // namespace

GgufFile::GgufFile(const std::filesystem::path& path) : GgufFile(std::make_shared<const MappedFile>(path)) {}

GgufFile::GgufFile(std::shared_ptr<const MappedFile> file) : file_(std::move(file)) {
  read_header();
}

void GgufFile::read_header() {
  const std::string where = path().string();
  ByteReader reader(file_->bytes(), where);
  if (reader.left() < gguf::kMagic.size() || reader.take_text(gguf::kMagic.size()) != gguf::kMagic) {
    throw FormatError("does not begin with GGUF", where);
  }
  const auto version = reader.read<std::uint32_t>();
  if (version != 2 && version != gguf::kVersion) {
    reader.fail(str("GGUF version ", version, ", expected 2 or ", gguf::kVersion, ", little-endian"));
  }
  const std::uint64_t tensors = read_count(reader, "tensors"), keys = read_count(reader, "metadata keys");
  for (std::uint64_t i = 0; i < keys; ++i) {
    const std::string key(read_text(reader));
    std::optional<GgufValue> value = read_value(reader);
    if (value && !metadata_.emplace(key, std::move(*value)).second) reader.fail(str("key ", quote_text(key), " twice"));
  }
  for (std::uint64_t i = 0; i < tensors; ++i) {
    const std::string name(read_text(reader));
    Entry entry;
    entry.shape = read_shape(reader);
    entry.dtype = read_dtype(reader, name, where);
    entry.begin = reader.read<std::uint64_t>();
    if (!entries_.emplace(name, std::move(entry)).second) reader.fail(str("tensor ", quote_text(name), " twice"));
  }
  const std::size_t alignment = alignment_of(metadata_, where),
                    padding = (alignment - reader.position() % alignment) % alignment;
  // Without tensors there may be nothing behind the header.
  const std::size_t data_bytes = reader.left() - std::min(padding, reader.left());
  data_start_ = file_->size() - data_bytes;
  for (const auto& item : entries_) {
    const Entry& entry = item.second;
    const std::optional<std::size_t> bytes = bytes_of(entry.dtype, entry.shape);
    SHINE_CHECK(bytes.has_value(), FormatError, where, ": tensor ", quote_text(item.first), ": its shape [",
                join(entry.shape, ", "), "] overflows");
    SHINE_CHECK(entry.begin % alignment == 0 && entry.begin <= data_bytes && *bytes <= data_bytes - entry.begin,
                FormatError, where, ": tensor ", quote_text(item.first), ": byte ", entry.begin, " and ", *bytes,
                " bytes from there do not lie in the file's ", data_bytes, " bytes of data");
  }
}

const std::string& GgufFile::text(const std::string& key) const {
  const auto found = metadata_.find(key);
  SHINE_CHECK(found != metadata_.end() && std::holds_alternative<std::string>(found->second), FormatError,
              path().string(), ": no text `", key, "` in the metadata");
  return std::get<std::string>(found->second);
}

double GgufFile::number(const std::string& key) const {
  const auto found = metadata_.find(key);
  if (found != metadata_.end()) {
    if (const auto* value = std::get_if<double>(&found->second)) return *value;
    if (const auto* value = std::get_if<std::int64_t>(&found->second)) return static_cast<double>(*value);
  }
  throw FormatError(str("no number `", key, "` in the metadata"), path().string());
}

RawTensor GgufFile::tensor(const std::string& name) const {
  const auto found = entries_.find(name);
  SHINE_CHECK(found != entries_.end(), FormatError, path().string(), ": no tensor ", quote_text(name));
  return borrow_mapped(file_->data() + data_start_ + found->second.begin, found->second.dtype, found->second.shape,
                       file_, str(path().string(), ": tensor ", quote_text(name)));
}

const std::filesystem::path& GgufFile::path() const {
  return file_->path();
}

}  // namespace shine
