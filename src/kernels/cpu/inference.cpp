#include "kernels/cpu/inference.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "kernels/cpu/tasks.h"

namespace shine {
namespace {

constexpr std::int64_t kValuesPerTask = 1 << 15;

/// Calls `body(first, last)` for ranges of rows of `width` values.
template <class Body>
void for_rows(std::int64_t rows, std::int64_t width, const Body& body) {
  cpu::parallel_for(0, rows, std::max<std::int64_t>(1, kValuesPerTask / std::max<std::int64_t>(1, width)), body);
}

/// Independent partial sums, so that the compiler may use vector registers.
float sum_of_squares(const float* x, std::int64_t width) {
  constexpr std::int64_t lanes = 16;
  std::array<float, lanes> sums{};
  std::int64_t i = 0;
  for (; i + lanes <= width; i += lanes) {
    for (std::int64_t lane = 0; lane < lanes; ++lane) sums[static_cast<std::size_t>(lane)] += x[i + lane] * x[i + lane];
  }
  float rest = 0.0F;
  for (; i < width; ++i) rest += x[i] * x[i];
  return std::accumulate(sums.begin(), sums.end(), rest);
}

}  // namespace

bool cpu_kernel_takes(const at::Tensor& x) {
  return x.is_cpu() && x.scalar_type() == at::kFloat && x.is_contiguous();
}

at::Tensor cpu_rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  const at::Tensor out = at::empty_like(x), factors = weight.contiguous();
  const std::int64_t width = x.size(-1);
  const float *in = x.const_data_ptr<float>(), *factor = factors.const_data_ptr<float>();
  float* result = out.mutable_data_ptr<float>();
  for_rows(width > 0 ? x.numel() / width : 0, width, [=](std::int64_t first, std::int64_t last) {
    for (std::int64_t row = first; row < last; ++row) {
      const float* __restrict from = in + row * width;
      float* __restrict to = result + row * width;
      const float mean = sum_of_squares(from, width) / static_cast<float>(width);
      const float inverse = 1.0F / std::sqrt(mean + static_cast<float>(eps));
      for (std::int64_t i = 0; i < width; ++i) to[i] = from[i] * inverse * factor[i];
    }
  });
  return out;
}

at::Tensor cpu_rope(const at::Tensor& x, const RopeTable& table) {
  const at::Tensor out = at::empty_like(x), cosines = table.cos.contiguous(), sines = table.sin.contiguous();
  const std::int64_t heads = x.size(1), d = x.size(2), half = d / 2;
  const float *in = x.const_data_ptr<float>(), *all_cos = cosines.const_data_ptr<float>(),
              *all_sin = sines.const_data_ptr<float>();
  float* result = out.mutable_data_ptr<float>();
  for_rows(x.size(0), heads * d, [=](std::int64_t first, std::int64_t last) {
    for (std::int64_t vector = first * heads; vector < last * heads; ++vector) {
      const float* __restrict cos = all_cos + vector / heads * d;
      const float* __restrict sin = all_sin + vector / heads * d;
      const float* __restrict from = in + vector * d;
      float* __restrict to = result + vector * d;
      for (std::int64_t i = 0; i < half; ++i) {
        to[i] = from[i] * cos[i] - from[i + half] * sin[i];
        to[i + half] = from[i + half] * cos[i + half] + from[i] * sin[i + half];
      }
    }
  });
  return out;
}

}  // namespace shine
