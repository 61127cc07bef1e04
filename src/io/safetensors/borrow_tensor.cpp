#include "io/safetensors/borrow_tensor.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

#include "shine/common/error.h"

namespace shine {

bool is_aligned(const std::byte* data, DType dtype) {
  return reinterpret_cast<std::uintptr_t>(data) % size_of(dtype) == 0;
}

std::shared_ptr<std::byte[]> allocate_bytes(std::size_t bytes) {
  return std::shared_ptr<std::byte[]>(new std::byte[bytes]);
}

RawTensor borrow_tensor(const std::byte* data, DType dtype, std::vector<std::int64_t> shape,
                        std::shared_ptr<const void> owner, const std::string& where) {
  const std::size_t bytes = bytes_of(dtype, shape).value();
  if (dtype == DType::boolean &&
      std::any_of(data, data + bytes, [](std::byte value) { return value > std::byte{1}; })) {
    throw FormatError("expected 0 or 1 in every byte of a bool tensor", where);
  }
  if (bytes > 0 && !is_aligned(data, dtype)) {
    std::shared_ptr<std::byte[]> copy = allocate_bytes(bytes);
    std::memcpy(copy.get(), data, bytes);
    data = copy.get();
    owner = std::move(copy);
  }
  return {dtype, std::move(shape), data, bytes, std::move(owner)};
}

RawTensor borrow_mapped(const std::byte* data, DType dtype, std::vector<std::int64_t> shape,
                        std::shared_ptr<const MappedFile> file, const std::string& where) {
  const bool mapped = file->is_mapped();
  RawTensor tensor = borrow_tensor(data, dtype, std::move(shape), std::move(file), where);
  tensor.mapped = mapped && tensor.data == data;
  return tensor;
}

}  // namespace shine
