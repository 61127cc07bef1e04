#pragma once

#include <ATen/ATen.h>

#include <cmath>

namespace shine::test {

/// |found - expected| / |expected|; infinite where either has a NaN.
inline double relative_error(const at::Tensor& found, const at::Tensor& expected) {
  const at::Tensor wide = expected.detach().to(at::kDouble);
  const auto error = ((found.detach().to(at::kDouble) - wide).norm() / wide.norm().clamp_min(1e-30)).item<double>();
  return std::isnan(error) ? INFINITY : error;
}

}  // namespace shine::test
