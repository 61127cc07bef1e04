#include "io/torch_format/torch_storage.h"

#include <cstring>
#include <optional>
#include <utility>

#include "io/json/quote_text.h"
#include "io/safetensors/borrow_tensor.h"
#include "shine/common/error.h"

namespace shine {
namespace {

constexpr std::size_t kMaxDimensions = 64;
constexpr std::size_t kSpareCopyBytes = std::size_t{64} << 20;

bool is_contiguous(const std::vector<std::int64_t>& shape, const std::vector<std::int64_t>& strides) {
  std::int64_t expected = 1;
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    if (shape[axis] == 1) continue;
    if (strides[axis] != expected) return false;
    expected *= shape[axis];
  }
  return true;
}

/// Index of the view's last element in the storage; nothing on overflow. All sizes are positive, strides not negative.
std::optional<std::int64_t> last_index(std::int64_t offset, const std::vector<std::int64_t>& shape,
                                       const std::vector<std::int64_t>& strides) {
  std::int64_t last = offset;
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    std::int64_t reach = 0;
    if (__builtin_mul_overflow(shape[axis] - 1, strides[axis], &reach)) return std::nullopt;
    if (__builtin_add_overflow(last, reach, &last)) return std::nullopt;
  }
  return last;
}

/// Copies a strided view, row-major; the view is not empty and lies within the storage.
void gather(const std::byte* storage, std::size_t element, std::int64_t offset, const std::vector<std::int64_t>& shape,
            const std::vector<std::int64_t>& strides, std::byte* into) {
  std::vector<std::int64_t> index(shape.size(), 0);
  while (true) {
    std::memcpy(into, storage + static_cast<std::size_t>(offset) * element, element);
    into += element;
    std::size_t axis = shape.size();
    while (axis > 0 && index[axis - 1] + 1 == shape[axis - 1]) {
      --axis;
      offset -= index[axis] * strides[axis];
      index[axis] = 0;
    }
    if (axis == 0) return;
    ++index[axis - 1];
    offset += strides[axis - 1];
  }
}

}  // namespace

TorchStorages::TorchStorages(std::shared_ptr<const MappedFile> file)
    : file_(std::move(file)), copy_budget_(8 * file_->size() + kSpareCopyBytes) {}

std::string TorchStorages::place_of(const std::string& key) const {
  return str(file_->path().string(), ": storage ", quote_text(key));
}

ZipStorages::ZipStorages(std::shared_ptr<StoredZip> archive, std::string prefix)
    : TorchStorages(archive->file()), archive_(std::move(archive)), prefix_(std::move(prefix)) {}

TorchStorage ZipStorages::find(const std::string& key, DType dtype, std::int64_t numel) {
  const std::string where = place_of(key);
  const std::string entry = prefix_ + "data/" + key;
  SHINE_CHECK(archive_->contains(entry), FormatError, where, ": not in the archive");
  const std::span<const std::byte> bytes = archive_->entries().at(entry).bytes;
  const std::optional<std::size_t> expected = bytes_of(dtype, {numel});
  SHINE_CHECK(expected && *expected <= bytes.size() && bytes.size() - *expected < size_of(dtype), FormatError, where,
              ": holds ", bytes.size(), " bytes, expected ", numel, " elements of ", name_of(dtype));
  archive_->read(entry);
  return {key, dtype, numel, bytes};
}

RawTensor TorchStorages::view(const TorchStorage& storage, std::int64_t offset, const std::vector<std::int64_t>& shape,
                              const std::vector<std::int64_t>& strides) {
  const std::string where = str(file_->path().string(), ": tensor in storage ", quote_text(storage.key));
  SHINE_CHECK(shape.size() == strides.size() && shape.size() <= kMaxDimensions, FormatError, where, ": ", shape.size(),
              " sizes and ", strides.size(), " strides, expected as many, at most ", kMaxDimensions);
  const std::optional<std::size_t> bytes = bytes_of(storage.dtype, shape);
  SHINE_CHECK(bytes.has_value(), FormatError, where, ": shape [", join(shape, ", "), "] is negative or overflows");
  SHINE_CHECK(offset >= 0, FormatError, where, ": negative offset ", offset);
  for (std::int64_t stride : strides) SHINE_CHECK(stride >= 0, FormatError, where, ": negative stride ", stride);
  if (*bytes == 0) return {storage.dtype, shape, nullptr, 0, nullptr};

  const std::optional<std::int64_t> last = last_index(offset, shape, strides);
  SHINE_CHECK(last && *last < storage.numel, FormatError, where, ": offset ", offset, ", shape [", join(shape, ", "),
              "], strides [", join(strides, ", "), "] reach outside its ", storage.numel, " elements");
  const std::size_t element = size_of(storage.dtype);
  const std::byte* start = storage.bytes.data() + static_cast<std::size_t>(offset) * element;
  const bool contiguous = is_contiguous(shape, strides);
  if (!contiguous || !is_aligned(start, storage.dtype) || storage.dtype == DType::boolean) charge(*bytes, where);
  if (contiguous) return borrow_mapped(start, storage.dtype, shape, file_, where);
  std::shared_ptr<std::byte[]> copy = allocate_bytes(*bytes);
  gather(storage.bytes.data(), element, offset, shape, strides, copy.get());
  return borrow_tensor(copy.get(), storage.dtype, shape, copy, where);
}

void TorchStorages::charge(std::size_t bytes, const std::string& where) {
  SHINE_CHECK(bytes <= copy_budget_, FormatError, where,
              ": the file's tensors expand to far more than the file holds; refused");
  copy_budget_ -= bytes;
}

}  // namespace shine
