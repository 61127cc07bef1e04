#include "io/gguf/gguf_file.h"

#include <algorithm>
#include <array>
#include <bit>
#include <optional>
#include <string_view>
#include <utility>

#include "io/files/byte_reader.h"
#include "io/files/mapped_file.h"
#include "io/json/quote_text.h"
#include "io/safetensors/borrow_tensor.h"
#include "shine/common/error.h"

namespace shine {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF files are read as little-endian");

constexpr std::string_view kMagic = "GGUF";
constexpr std::uint64_t kMaxEntries = 1'000'000;  ///< keys, and tensors
constexpr std::size_t kMaxValues = 4'000'000;     ///< of all arrays: one byte of the file can take 48 of memory
constexpr int kMaxDepth = 8;                      ///< of arrays in arrays
constexpr std::size_t kMaxKeyBytes = 65'535;
constexpr std::uint64_t kMaxAlignment = 1 << 20;

/// The format's numbers of the types that hold plain numbers, and of those that hold blocks.
constexpr std::array<std::pair<std::uint32_t, DType>, 3> kTypes{
    {{0, DType::float32}, {1, DType::float16}, {30, DType::bfloat16}}};
constexpr std::array<std::pair<std::uint32_t, std::string_view>, 31> kOtherTypes{
    {{2, "Q4_0"},     {3, "Q4_1"},   {6, "Q5_0"},    {7, "Q5_1"},   {8, "Q8_0"},   {9, "Q8_1"},     {10, "Q2_K"},
     {11, "Q3_K"},    {12, "Q4_K"},  {13, "Q5_K"},   {14, "Q6_K"},  {15, "Q8_K"},  {16, "IQ2_XXS"}, {17, "IQ2_XS"},
     {18, "IQ3_XXS"}, {19, "IQ1_S"}, {20, "IQ4_NL"}, {21, "IQ3_S"}, {22, "IQ2_S"}, {23, "IQ4_XS"},  {24, "I8"},
     {25, "I16"},     {26, "I32"},   {27, "I64"},    {28, "F64"},   {29, "IQ1_M"}, {34, "TQ1_0"},   {35, "TQ2_0"},
     {39, "MXFP4"},   {40, "NVFP4"}, {41, "Q1_0"}}};

DType dtype_of(std::uint32_t type, const std::string& where) {
  for (const auto& [number, dtype] : kTypes) {
    if (type == number) return dtype;
  }
  for (const auto& [number, name] : kOtherTypes) {
    if (type == number) {
      throw UnsupportedError(str("type ", name, " is not supported"), where, "F32, F16 and BF16 are");
    }
  }
  throw FormatError(str("type ", type, " is not known"), where, "F32, F16 and BF16 are supported");
}

std::string read_text(ByteReader& reader, std::size_t max_bytes) {
  const auto length = reader.read<std::uint64_t>();
  if (length > max_bytes) reader.fail(str("a text of ", length, " bytes, expected at most ", max_bytes));
  return std::string(reader.take_text(length));
}

/// Reads values of the metadata, all of one file within kMaxValues.
class ValueReader {
 public:
  explicit ValueReader(ByteReader& reader) : reader_(reader) {}

  GgufValue read(std::uint32_t type, int depth = 0) {
    switch (type) {
      case 0: return {reader_.read<std::uint8_t>()};
      case 1: return {reader_.read<std::int8_t>()};
      case 2: return {reader_.read<std::uint16_t>()};
      case 3: return {reader_.read<std::int16_t>()};
      case 4: return {reader_.read<std::uint32_t>()};
      case 5: return {reader_.read<std::int32_t>()};
      case 6: return {reader_.read<float>()};
      case 7: return {read_bool()};
      case 8: return {read_text(reader_, reader_.left())};
      case 9: return {read_array(depth)};
      case 10: return {reader_.read<std::uint64_t>()};
      case 11: return {reader_.read<std::int64_t>()};
      case 12: return {reader_.read<double>()};
      default: reader_.fail(str("a value of type ", type, ", expected 0 to 12"));
    }
  }

 private:
  bool read_bool() {
    const auto byte = reader_.read<std::uint8_t>();
    if (byte > 1) reader_.fail(str("a bool of ", static_cast<int>(byte), ", expected 0 or 1"));
    return byte == 1;
  }

  GgufArray read_array(int depth) {
    if (depth >= kMaxDepth) reader_.fail(str("more than ", kMaxDepth, " arrays in each other"));
    const auto type = reader_.read<std::uint32_t>();
    const auto count = reader_.read<std::uint64_t>();
    if (type >= std::variant_size_v<decltype(GgufValue::value)>) {
      reader_.fail(str("an array of type ", type, ", expected 0 to 12"));
    }
    if (count > reader_.left())
      reader_.fail(str("an array of ", count, " values, ", reader_.left(), " bytes are left"));
    if (count > kMaxValues - values_) reader_.fail(str("more than ", kMaxValues, " values in arrays"));
    values_ += count;
    GgufArray array{type, {}};
    for (std::uint64_t i = 0; i < count; ++i) array.values.push_back(read(type, depth + 1));
    return array;
  }

  ByteReader& reader_;
  std::size_t values_ = 0;
};

std::uint64_t round_up(std::uint64_t value, std::uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

}  // namespace

GgufFile::GgufFile(const std::filesystem::path& path) : GgufFile(std::make_shared<const MappedFile>(path)) {}

GgufFile::GgufFile(std::shared_ptr<const MappedFile> file) : file_(std::move(file)) {
  const std::string where = path().string();
  ByteReader reader(file_->bytes(), where);
  if (reader.left() < kMagic.size() || reader.take_text(kMagic.size()) != kMagic) {
    throw FormatError("not a GGUF file: it does not begin with GGUF", where);
  }
  const auto version = reader.read<std::uint32_t>();
  if (version != 2 && version != 3) {
    const bool swapped = version == 0x2000000 || version == 0x3000000;
    throw FormatError(swapped ? "a big-endian GGUF file" : str("GGUF version ", version), where,
                      "versions 2 and 3, little-endian, are read");
  }
  const auto tensors = reader.read<std::uint64_t>(), keys = reader.read<std::uint64_t>();
  read_metadata(reader, keys);
  const std::uint64_t alignment = this->alignment();
  read_entries(reader, tensors);
  data_start_ = round_up(reader.position(), alignment);
  if (tensors == 0) return;
  SHINE_CHECK(data_start_ <= file_->size(), FormatError, where, ": the file ends before its tensors");
  require_cover(alignment);
}

const std::filesystem::path& GgufFile::path() const {
  return file_->path();
}

void GgufFile::read_metadata(ByteReader& reader, std::uint64_t count) {
  if (count > kMaxEntries) reader.fail(str(count, " keys, expected at most ", kMaxEntries));
  ValueReader values(reader);
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::string key = read_text(reader, kMaxKeyBytes);
    const auto type = reader.read<std::uint32_t>();
    const bool is_new = metadata_.emplace(key, values.read(type)).second;
    if (!is_new) reader.fail(str("key ", quote_text(key), " is there twice"));
  }
}

std::uint64_t GgufFile::alignment() const {
  const auto* given = find<std::uint32_t>(kGgufAlignmentKey);
  if (given == nullptr) return kGgufAlignment;
  SHINE_CHECK(std::has_single_bit(*given) && *given >= 8 && *given <= kMaxAlignment, FormatError, path().string(), ": ",
              kGgufAlignmentKey, " is ", *given, ", expected a power of two from 8 to ", kMaxAlignment);
  return *given;
}

void GgufFile::read_entries(ByteReader& reader, std::uint64_t count) {
  if (count > kMaxEntries) reader.fail(str(count, " tensors, expected at most ", kMaxEntries));
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::string name = read_text(reader, kMaxGgufNameBytes);
    const std::string where = str(path().string(), ": tensor ", quote_text(name));
    const auto dimensions = reader.read<std::uint32_t>();
    SHINE_CHECK(dimensions >= 1 && dimensions <= kMaxGgufDimensions, FormatError, where, ": ", dimensions,
                " dimensions, expected 1 to ", kMaxGgufDimensions);
    Entry entry;
    for (std::uint32_t d = 0; d < dimensions; ++d) {
      const auto size = reader.read<std::uint64_t>();
      SHINE_CHECK(size <= INT64_MAX, FormatError, where, ": a size of ", size, ", expected at most 2^63 - 1");
      entry.shape.push_back(static_cast<std::int64_t>(size));
    }
    std::ranges::reverse(entry.shape);
    entry.dtype = dtype_of(reader.read<std::uint32_t>(), where);
    entry.offset = reader.read<std::uint64_t>();
    SHINE_CHECK(bytes_of(entry.dtype, entry.shape).has_value(), FormatError, where, ": shape [",
                join(entry.shape, ", "), "] overflows");
    SHINE_CHECK(entries_.emplace(name, std::move(entry)).second, FormatError, where, ": it is there twice");
    names_.push_back(name);
  }
}

void GgufFile::require_cover(std::uint64_t alignment) const {
  const std::uint64_t data_bytes = file_->size() - data_start_;
  std::uint64_t expected = 0;
  for (const std::string& name : names_) {
    const Entry& entry = entries_.at(name);
    const std::string where = str(path().string(), ": tensor ", quote_text(name));
    const std::uint64_t bytes = bytes_of(entry.dtype, entry.shape).value();
    SHINE_CHECK(entry.offset == expected, FormatError, where, ": starts at ", entry.offset, ", expected ", expected,
                ": tensors overlap or leave a hole");
    SHINE_CHECK(expected <= data_bytes && bytes <= data_bytes - expected, FormatError, where, ": ", bytes, " bytes at ",
                entry.offset, " lie outside the file's ", data_bytes, " bytes of data");
    expected = round_up(expected + bytes, alignment);
  }
  SHINE_CHECK(data_bytes <= expected, FormatError, path().string(), ": ", data_bytes - expected,
              " bytes behind the last tensor");
}

RawTensor GgufFile::tensor(const std::string& name) const {
  const auto found = entries_.find(name);
  SHINE_CHECK(found != entries_.end(), FormatError, path().string(), ": no tensor ", quote_text(name));
  const Entry& entry = found->second;
  return borrow_mapped(file_->data() + data_start_ + entry.offset, entry.dtype, entry.shape, file_,
                       str(path().string(), ": tensor ", quote_text(name)));
}

void GgufFile::fail_type(const std::string& key) const {
  throw FormatError(str(quote_text(key), " has a value of another type than expected"), path().string());
}

}  // namespace shine
