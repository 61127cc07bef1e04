#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "shine/common/api.h"
#include "shine/tensor/dtype.h"

namespace shine {

class Fnv1a;

/// A tensor's numbers as a file holds them: contiguous, row-major, little-endian, aligned for the dtype. The memory is
/// read-only: it may be a mapped file. An empty tensor may have a null `data`.
struct RawTensor {
  DType dtype = DType::float32;
  std::vector<std::int64_t> shape;    ///< empty for a scalar; no negative sizes
  const std::byte* data = nullptr;    ///< `bytes` bytes
  std::size_t bytes = 0;              ///< product of the shape times size_of(dtype)
  std::shared_ptr<const void> owner;  ///< keeps `data` alive
  bool mapped = false;                ///< `data` lies in a mapped file: its pages can be given back and read again
};

/// Tensors of a file by name, and in an order of their own.
using RawTensorDict = std::map<std::string, RawTensor>;
using NamedRawTensors = std::vector<std::pair<std::string, RawTensor>>;

/// Product of the sizes times the element's bytes; nothing if a size is negative or the product passes 2^63 - 1.
SHINE_API std::optional<std::size_t> bytes_of(DType dtype, const std::vector<std::int64_t>& shape);

/// Adds name, type, shape and samples of the bytes: in practice other weights have another hash, and the cost does not
/// grow with the tensor.
SHINE_API void add_tensor(Fnv1a& hash, const std::string& name, const RawTensor& tensor);

}  // namespace shine
