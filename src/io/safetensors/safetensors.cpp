#include "shine/io/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <tuple>

#include "io/files/mapped_file.h"
#include "io/files/pieces.h"
#include "io/files/posix_file.h"
#include "io/json/json_file.h"
#include "io/json/quote_text.h"
#include "io/safetensors/borrow_tensor.h"
#include "io/safetensors/write_as_made.h"
#include "shine/common/error.h"

namespace shine {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian");

using Json = nlohmann::json;
using Entry = SafetensorsFile::Entry;

constexpr std::size_t kLengthBytes = 8;
constexpr std::size_t kMaxHeaderBytes = 100'000'000;
constexpr std::size_t kMaxDimensions = 64;
constexpr const char* kMetadataKey = "__metadata__";

constexpr std::array<std::pair<std::string_view, DType>, 10> kDtypeNames = {{{"F64", DType::float64},
                                                                             {"F32", DType::float32},
                                                                             {"F16", DType::float16},
                                                                             {"BF16", DType::bfloat16},
                                                                             {"I64", DType::int64},
                                                                             {"I32", DType::int32},
                                                                             {"I16", DType::int16},
                                                                             {"I8", DType::int8},
                                                                             {"U8", DType::uint8},
                                                                             {"BOOL", DType::boolean}}};

DType parse_dtype(const std::string& name, const std::string& where) {
  for (const auto& [known, dtype] : kDtypeNames) {
    if (name == known) return dtype;
  }
  throw FormatError(str("dtype ", quote_text(name), " is not supported"), where,
                    "F64, F32, F16, BF16, I64, I32, I16, I8, U8 and BOOL are");
}

std::string_view safetensors_name(DType dtype) {
  for (const auto& [name, known] : kDtypeNames) {
    if (dtype == known) return name;
  }
  throw UnsupportedError(str("safetensors has no name for ", name_of(dtype)));
}

/// Reads a list of non-negative integers that fit int64.
std::vector<std::int64_t> parse_sizes(const Json& object, const char* key, const std::string& where) {
  const Json& list = get_array(object, key, where);
  SHINE_CHECK(list.size() <= kMaxDimensions, FormatError, where, ": ", quote_text(key), " has ", list.size(),
              " numbers, expected at most ", kMaxDimensions);
  std::vector<std::int64_t> sizes;
  for (const Json& size : list) {
    if (!size.is_number_unsigned() || size.get<std::uint64_t>() > INT64_MAX) {
      throw FormatError(str(quote_text(key), ": expected integers from 0 to 2^63 - 1"), where);
    }
    sizes.push_back(size.get<std::int64_t>());
  }
  return sizes;
}

Entry parse_entry(const Json& node, std::size_t data_bytes, const std::string& where) {
  Entry entry;
  entry.dtype = parse_dtype(get_string(node, "dtype", where), where);
  entry.shape = parse_sizes(node, "shape", where);
  const std::vector<std::int64_t> offsets = parse_sizes(node, "data_offsets", where);
  SHINE_CHECK(node.size() == 3, FormatError, where, ": expected only dtype, shape and data_offsets");
  SHINE_CHECK(offsets.size() == 2, FormatError, where, ": \"data_offsets\" has ", offsets.size(),
              " numbers, expected 2");
  entry.begin = static_cast<std::size_t>(offsets[0]);
  entry.end = static_cast<std::size_t>(offsets[1]);
  SHINE_CHECK(entry.begin <= entry.end && entry.end <= data_bytes, FormatError, where, ": data_offsets [", entry.begin,
              ", ", entry.end, "] lie outside the file's ", data_bytes, " bytes of data");
  const std::optional<std::size_t> bytes = bytes_of(entry.dtype, entry.shape);
  SHINE_CHECK(bytes.has_value(), FormatError, where, ": shape [", join(entry.shape, ", "), "] overflows");
  SHINE_CHECK(*bytes == entry.end - entry.begin, FormatError, where, ": shape [", join(entry.shape, ", "), "] of ",
              name_of(entry.dtype), " needs ", *bytes, " bytes, data_offsets give ", entry.end - entry.begin);
  return entry;
}

std::map<std::string, std::string> parse_metadata(const Json& node, const std::string& where) {
  SHINE_CHECK(node.is_object(), FormatError, where, ": expected an object, found ", node.type_name());
  std::map<std::string, std::string> metadata;
  for (const auto& [key, value] : node.items()) metadata[key] = get_string(node, key, where);
  return metadata;
}

/// The header's JSON text, after the length in front of it was checked.
std::string_view header_of(const MappedFile& file) {
  const std::string where = file.path().string();
  SHINE_CHECK(file.size() >= kLengthBytes, FormatError, where, ": ", file.size(),
              " bytes, too short for a safetensors file");
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), kLengthBytes);
  SHINE_CHECK(length <= kMaxHeaderBytes, FormatError, where, ": header of ", length, " bytes, expected at most ",
              kMaxHeaderBytes, "; not a safetensors file, or damaged");
  SHINE_CHECK(length <= file.size() - kLengthBytes, FormatError, where, ": header of ", length,
              " bytes does not fit the file's ", file.size(), "; the file is cut short or damaged");
  const std::string_view header(reinterpret_cast<const char*>(file.data()) + kLengthBytes, length);
  SHINE_CHECK(header.starts_with('{'), FormatError, where, ": the header is no JSON object");
  return header;
}

/// Checks that the ranges, which are sorted, cover the data from its first to its last byte exactly once.
void require_cover(const std::vector<std::string>& names, const std::map<std::string, Entry>& entries,
                   std::size_t data_bytes, const std::string& where) {
  std::size_t covered = 0;
  for (const std::string& name : names) {
    const Entry& entry = entries.at(name);
    SHINE_CHECK(entry.begin == covered, FormatError, where, ": tensor ", quote_text(name), " starts at ", entry.begin,
                ", expected ", covered, ": tensors overlap or leave a hole");
    covered = entry.end;
  }
  SHINE_CHECK(covered == data_bytes, FormatError, where, ": the tensors cover ", covered, " bytes of ", data_bytes);
}

/// Bytes of a tensor in the file. Throws FormatError where its sizes overflow.
std::size_t bytes_of(const TensorForm& form, const std::string& where) {
  const std::optional<std::size_t> bytes = bytes_of(form.dtype, form.shape);
  SHINE_CHECK(bytes.has_value(), FormatError, where, ": tensor ", quote_text(form.name), ": shape [",
              join(form.shape, ", "), "] overflows");
  return *bytes;
}

/// The header for tensors in their final order, padded so that the data starts at a multiple of 8.
std::string make_header(const std::vector<TensorForm>& ordered, const std::map<std::string, std::string>& metadata,
                        const std::string& where) {
  std::string header = "{";
  if (!metadata.empty()) header += str(Json(kMetadataKey).dump(), ":", Json(metadata).dump());
  std::size_t offset = 0;
  for (const TensorForm& form : ordered) {
    const std::size_t end = offset + bytes_of(form, where);
    if (header.size() > 1) header += ',';
    header += str(Json(form.name).dump(), R"(:{"dtype":")", safetensors_name(form.dtype), R"(","shape":[)",
                  join(form.shape, ","), R"(],"data_offsets":[)", offset, ",", end, "]}");
    offset = end;
  }
  header += '}';
  header.resize((header.size() + 7) / 8 * 8, ' ');
  return header;
}

/// Sorts by element size (largest first), then by name. Throws FormatError for a reserved or duplicate name.
void put_in_file_order(std::vector<TensorForm>& forms, const std::string& where) {
  std::sort(forms.begin(), forms.end(), [](const TensorForm& left, const TensorForm& right) {
    const std::size_t left_size = size_of(left.dtype), right_size = size_of(right.dtype);
    return left_size != right_size ? left_size > right_size : left.name < right.name;
  });
  std::vector<std::string_view> names;
  for (const TensorForm& form : forms) {
    SHINE_CHECK(form.name != kMetadataKey, FormatError, where, ": no tensor may be named ", kMetadataKey);
    names.push_back(form.name);
  }
  std::sort(names.begin(), names.end());
  const auto duplicate = std::adjacent_find(names.begin(), names.end());
  SHINE_CHECK(duplicate == names.end(), FormatError, where, ": two tensors are named ", quote_text(*duplicate));
}

/// Throws FormatError where what was made is not what the header says.
void require_form(const RawTensor& tensor, const TensorForm& form, const std::string& where) {
  SHINE_CHECK(tensor.dtype == form.dtype && tensor.shape == form.shape && tensor.bytes == bytes_of(form, where),
              FormatError, where, ": tensor ", quote_text(form.name), " has ", tensor.bytes, " bytes of ",
              name_of(tensor.dtype), " [", join(tensor.shape, ", "), "], not what its shape [", join(form.shape, ", "),
              "] of ", name_of(form.dtype), " needs");
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : SafetensorsFile(std::make_shared<const MappedFile>(path)) {}

SafetensorsFile::SafetensorsFile(std::shared_ptr<const MappedFile> file) : file_(std::move(file)) {
  const std::string where = path().string();
  const std::string_view header = header_of(*file_);
  data_start_ = kLengthBytes + header.size();
  const std::size_t data_bytes = file_->size() - data_start_;
  const Json root = parse_json(header, where + ": header");
  for (const auto& [name, node] : root.items()) {
    if (name == kMetadataKey) {
      metadata_ = parse_metadata(node, str(where, ": ", kMetadataKey));
      continue;
    }
    entries_.emplace(name, parse_entry(node, data_bytes, str(where, ": tensor ", quote_text(name))));
  }
  std::vector<const std::pair<const std::string, Entry>*> ordered;  // by name, then by place
  for (const auto& item : entries_) ordered.push_back(&item);
  std::stable_sort(ordered.begin(), ordered.end(), [](const auto* left, const auto* right) {
    return std::tie(left->second.begin, left->second.end) < std::tie(right->second.begin, right->second.end);
  });
  for (const auto* item : ordered) names_.push_back(item->first);
  require_cover(names_, entries_, data_bytes, where);
}

const std::filesystem::path& SafetensorsFile::path() const {
  return file_->path();
}

RawTensor SafetensorsFile::tensor(const std::string& name) const {
  const auto found = entries_.find(name);
  SHINE_CHECK(found != entries_.end(), FormatError, path().string(), ": no tensor ", quote_text(name));
  const Entry& entry = found->second;
  return borrow_mapped(file_->data() + data_start_ + entry.begin, entry.dtype, entry.shape, file_,
                       str(path().string(), ": tensor ", quote_text(name)));
}

void write_safetensors_as_made(const std::filesystem::path& path, std::vector<TensorForm> forms,
                               const std::function<RawTensor(const std::string& name)>& make,
                               const std::map<std::string, std::string>& metadata) {
  const std::string where = path.string();
  put_in_file_order(forms, where);
  std::string header;
  try {
    header = make_header(forms, metadata, where);
  } catch (const Json::exception&) {
    throw FormatError("a tensor name or the metadata is not valid UTF-8", where);
  }
  SHINE_CHECK(header.size() <= kMaxHeaderBytes, FormatError, where, ": header of ", header.size(),
              " bytes, the format allows ", kMaxHeaderBytes);
  PendingFile file(path);
  const std::uint64_t length = header.size();
  file.write(&length, kLengthBytes);
  file.write(header);
  for (const TensorForm& form : forms) {
    const RawTensor tensor = make(form.name);
    require_form(tensor, form, where);
    for_each_piece(tensor, [&](std::span<const std::byte> piece) { file.write(piece.data(), piece.size()); });
  }
  file.commit();
}

void write_safetensors(const std::filesystem::path& path, const NamedRawTensors& tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<TensorForm> forms;
  std::map<std::string_view, const RawTensor*> tensor_of;
  for (const auto& [name, tensor] : tensors) {
    forms.push_back({name, tensor.dtype, tensor.shape});
    require_form(tensor, forms.back(), path.string());
    tensor_of.emplace(name, &tensor);
  }
  write_safetensors_as_made(
      path, std::move(forms), [&](const std::string& name) { return *tensor_of.at(name); }, metadata);
}

}  // namespace shine
