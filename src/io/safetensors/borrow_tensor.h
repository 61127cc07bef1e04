#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "io/files/mapped_file.h"
#include "shine/tensor/raw_tensor.h"

namespace shine {

/// True if `data` may be read as elements of the dtype.
bool is_aligned(const std::byte* data, DType dtype);

/// The tensor of `dtype` and `shape` at `data`, kept alive by `owner`; copied where `data` is misaligned.
/// Throws FormatError at `where` for booleans other than 0 and 1. The shape's bytes must lie within the owner's memory.
RawTensor borrow_tensor(const std::byte* data, DType dtype, std::vector<std::int64_t> shape,
                        std::shared_ptr<const void> owner, const std::string& where);

/// The same for bytes of a mapped file, whose pages can be given back (RawTensor::mapped).
RawTensor borrow_mapped(const std::byte* data, DType dtype, std::vector<std::int64_t> shape,
                        std::shared_ptr<const MappedFile> file, const std::string& where);

/// Memory of `bytes` bytes aligned for any dtype, not initialised.
std::shared_ptr<std::byte[]> allocate_bytes(std::size_t bytes);

}  // namespace shine
