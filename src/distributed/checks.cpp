#include "distributed/checks.h"

#include <algorithm>
#include <array>

#include "shine/common/error.h"

namespace shine {

void check_collective(const at::Tensor& tensor) {
  constexpr std::array types{at::kFloat, at::kDouble, at::kLong, at::kInt, at::kByte};
  SHINE_CHECK(tensor.is_contiguous(), ShapeError, "collectives take contiguous tensors, not ", tensor.sizes(),
              " with strides ", tensor.strides());
  SHINE_CHECK(std::find(types.begin(), types.end(), tensor.scalar_type()) != types.end(), ShapeError,
              "no collective takes tensors of type ", toString(tensor.scalar_type()));
}

void check_pieces(const at::Tensor& whole, const at::Tensor& piece, int ranks) {
  check_collective(whole);
  check_collective(piece);
  SHINE_CHECK(whole.scalar_type() == piece.scalar_type() && whole.numel() == piece.numel() * ranks, ShapeError,
              "a collective of ", ranks, " ranks takes as many equal pieces, not ", whole.sizes(), " of type ",
              toString(whole.scalar_type()), " with pieces ", piece.sizes(), " of type ",
              toString(piece.scalar_type()));
}

}  // namespace shine
