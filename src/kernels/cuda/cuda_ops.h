#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

#include "kernels/cuda/flat_chunks.h"
#include "kernels/fused.h"
#include "shine/config/optimizer_config.h"
#include "shine/tensor/rope_table.h"

namespace shine {

// Tensor interface of the GPU kernels. Arguments are float32 or bfloat16, of one dtype and on one device; what is not
// contiguous is copied. Without CUDA the stub cuda_ops_stub.cpp is built: takes_cuda_kernel is false there, and every
// other function throws UnsupportedError.

/// True where an operation on `x` goes through the kernel: use_cuda_kernel(kernel), and `x` is a float32 or bfloat16
/// tensor on a GPU.
bool takes_cuda_kernel(CudaKernel kernel, const at::Tensor& x);

/// The major number of the GPU's compute capability (8: Ampere, 9: Hopper); 0 without kernels.
int cuda_architecture(at::Device device);

/// A word for the kind of GPU with its driver, and the file that holds these kernels: the same word, the same results.
/// Empty without kernels.
std::string cuda_build(at::Device device);

struct CudaRmsNorm {
  at::Tensor y;        ///< (.., H)
  at::Tensor inverse;  ///< (.., 1), float32
};
CudaRmsNorm cuda_rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);

/// @param residual_gradient  added to the result; undefined: none
at::Tensor cuda_rms_norm_backward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight,
                                  const at::Tensor& inverse, const at::Tensor& residual_gradient);
at::Tensor cuda_rms_norm_weight_gradient(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& inverse);

at::Tensor cuda_rope(const at::Tensor& x, const RopeTable& table, bool inverse);

/// (y, inverse): RMSNorm over d, then the rotation. x (N, heads, d), inverse (N, heads, 1).
std::pair<at::Tensor, at::Tensor> cuda_norm_rope(const at::Tensor& x, const at::Tensor& weight, const RopeTable& table,
                                                 double eps);
at::Tensor cuda_norm_rope_backward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight,
                                   const RopeTable& table, const at::Tensor& inverse);

at::Tensor cuda_swiglu(const at::Tensor& gate, const at::Tensor& up);
/// (d gate, d up).
std::pair<at::Tensor, at::Tensor> cuda_swiglu_backward(const at::Tensor& dy, const at::Tensor& gate,
                                                       const at::Tensor& up);

/// The rows' losses, float32; with `gradient`, contiguous `logits` (n, V) become softmax - one hot in place.
at::Tensor cuda_cross_entropy_(const at::Tensor& logits, const at::Tensor& targets, bool gradient);

/// The norm of gradients and AdamW over flat float32 memory; the host waits for nothing.
class CudaOptimizer {
 public:
  /// @param ranges        what is updated, at most one a place
  /// @param place_groups  group of each place
  /// @param weight_decay  of each group
  CudaOptimizer(const std::vector<cuda::FlatRange>& ranges, const std::vector<std::int64_t>& place_groups,
                const std::vector<double>& weight_decay, at::Device device);

  /// Sums of squares of scale * gradient by place, (places), float64; 0 where no range is.
  at::Tensor squares(const at::Tensor& gradients, double scale);

  /// The factor of each group's gradients, scale * min(1, limit / (norm + 1e-6)), and whether to update at all.
  void set_factors(const at::Tensor& squares, ClipKind clip, double scale, double limit);

  struct Memory {
    at::Tensor values, gradients, first, second;
  };
  struct Rates {
    double learning_rate, beta1, beta2, epsilon;
    std::int64_t step;  ///< of the bias corrections, from 1
  };
  /// Leaves everything as it is where the squares given to set_factors were not finite. Gradients are not changed.
  void update(const Memory& memory, const Rates& rates);

 private:
  std::int64_t places_, groups_, chunk_count_, part_count_;
  at::Tensor chunks_, parts_;  ///< bytes of the tables
  at::Tensor place_groups_, weight_decay_, partial_, factors_, finite_;
};

}  // namespace shine
