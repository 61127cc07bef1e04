#include "shine/tensor/rope_table.h"

#include <ATen/ATen.h>

#include <numbers>

namespace shine {
namespace {

/// @param frequency  (d/2), radians a position
at::Tensor scaled(const at::Tensor& frequency, const RopeScaling& scaling) {
  if (scaling.kind == RopeScaling::Kind::none) return frequency;
  const at::Tensor divided = frequency / scaling.factor;
  if (scaling.kind == RopeScaling::Kind::linear) return divided;
  const double radians = static_cast<double>(scaling.original_positions) / (2 * std::numbers::pi);
  const at::Tensor turns = frequency * radians;
  const at::Tensor kept = ((turns - scaling.low) / (scaling.high - scaling.low)).clamp(0.0, 1.0);
  return (1 - kept) * divided + kept * frequency;
}

}  // namespace

RopeTable make_rope_table(const at::Tensor& positions, std::int64_t head_dim, double theta, at::ScalarType dtype,
                          const RopeScaling& scaling) {
  const auto options = at::TensorOptions().dtype(at::kFloat).device(positions.device());
  const at::Tensor exponent = at::arange(0, head_dim, 2, options) / static_cast<double>(head_dim);
  const at::Tensor frequency =
      scaled(at::reciprocal(at::pow(at::scalar_tensor(theta, options), exponent)), scaling);  // (d/2)
  const at::Tensor angle = positions.to(at::kFloat).unsqueeze(1) * frequency;                 // (N, d/2)
  const at::Tensor both = at::cat({angle, angle}, -1).unsqueeze(1);                           // (N, 1, d)
  return {both.cos().to(dtype), both.sin().to(dtype)};
}

}  // namespace shine
