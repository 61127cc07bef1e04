#include "adapter/gguf_rows.h"

#include <cstring>

#include "io/safetensors/borrow_tensor.h"
#include "shine/common/error.h"

namespace shine {
namespace {

RawTensor reordered(const RawTensor& tensor, std::int64_t heads, bool to_pairs) {
  SHINE_CHECK(tensor.shape.size() == 2 && heads > 0 && tensor.shape[0] % (2 * heads) == 0, ShapeError, "(",
              join(tensor.shape, ", "), ") has no rows of ", heads, " heads");
  const auto rows = static_cast<std::size_t>(tensor.shape[0]), head = rows / static_cast<std::size_t>(heads);
  const std::size_t half = head / 2, row_bytes = tensor.bytes / rows;
  const std::shared_ptr<std::byte[]> copy = allocate_bytes(tensor.bytes);
  for (std::size_t row = 0; row < rows; ++row) {
    const std::size_t first = row / head * head, at = row - first;
    const std::size_t pair = first + at % half * 2 + at / half;  // of row `row` in halves
    const std::size_t from = to_pairs ? row : pair, to = to_pairs ? pair : row;
    std::memcpy(copy.get() + to * row_bytes, tensor.data + from * row_bytes, row_bytes);
  }
  return {tensor.dtype, tensor.shape, copy.get(), tensor.bytes, copy};
}

}  // namespace

RawTensor rows_in_pairs(const RawTensor& tensor, std::int64_t heads) {
  return reordered(tensor, heads, true);
}

RawTensor rows_in_halves(const RawTensor& tensor, std::int64_t heads) {
  return reordered(tensor, heads, false);
}

}  // namespace shine
