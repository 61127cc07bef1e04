#include "shine/tensor/rope_table.h"

#include <ATen/ATen.h>

namespace shine {

RopeTable make_rope_table(const at::Tensor& positions, std::int64_t head_dim, double theta, at::ScalarType dtype) {
  const auto options = at::TensorOptions().dtype(at::kFloat).device(positions.device());
  const at::Tensor exponent = at::arange(0, head_dim, 2, options) / static_cast<double>(head_dim);
  const at::Tensor frequency = at::reciprocal(at::pow(at::scalar_tensor(theta, options), exponent));  // (d/2)
  const at::Tensor angle = positions.to(at::kFloat).unsqueeze(1) * frequency;                         // (N, d/2)
  const at::Tensor both = at::cat({angle, angle}, -1).unsqueeze(1);                                   // (N, 1, d)
  return {both.cos().to(dtype), both.sin().to(dtype)};
}

}  // namespace shine
