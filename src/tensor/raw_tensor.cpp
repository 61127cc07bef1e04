#include "shine/tensor/raw_tensor.h"

#include <algorithm>
#include <string_view>

#include "common/hash.h"

namespace shine {

std::optional<std::size_t> bytes_of(DType dtype, const std::vector<std::int64_t>& shape) {
  if (std::any_of(shape.begin(), shape.end(), [](std::int64_t size) { return size < 0; })) return std::nullopt;
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;
  auto bytes = static_cast<std::int64_t>(size_of(dtype));
  for (std::int64_t size : shape) {
    if (__builtin_mul_overflow(bytes, size, &bytes)) return std::nullopt;
  }
  return static_cast<std::size_t>(bytes);
}

void add_tensor(Fnv1a& hash, const std::string& name, const RawTensor& tensor) {
  constexpr std::size_t samples = 64, sample_bytes = 64;
  hash.add(std::uint64_t{name.size()}).add_bytes(name).add_bytes(name_of(tensor.dtype));
  for (const std::int64_t size : tensor.shape) hash.add(size);
  const std::string_view bytes(reinterpret_cast<const char*>(tensor.data), tensor.bytes);
  if (bytes.size() <= samples * sample_bytes) {
    hash.add_bytes(bytes);
    return;
  }
  const std::size_t last = bytes.size() - sample_bytes;
  for (std::size_t i = 0; i < samples; ++i) {
    hash.add_bytes(bytes.substr(last / (samples - 1) * i, sample_bytes));
  }
}

}  // namespace shine
