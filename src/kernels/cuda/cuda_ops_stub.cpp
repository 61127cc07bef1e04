#include "kernels/cuda/cuda_ops.h"
#include "shine/common/error.h"

namespace shine {
namespace {

[[noreturn]] void refuse() {
  throw UnsupportedError("GPU kernels are not part of this build", "ops.fused",
                         "build with a LibTorch for CUDA and SHINE_WITH_CUDA=ON");
}

}  // namespace

bool takes_cuda_kernel(CudaKernel, const at::Tensor&) {
  return false;
}

int cuda_architecture(at::Device) {
  return 0;
}

std::string cuda_build(at::Device) {
  return "";
}

CudaRmsNorm cuda_rms_norm(const at::Tensor&, const at::Tensor&, double) {
  refuse();
}
at::Tensor cuda_rms_norm_backward(const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&,
                                  const at::Tensor&) {
  refuse();
}
at::Tensor cuda_rms_norm_weight_gradient(const at::Tensor&, const at::Tensor&, const at::Tensor&) {
  refuse();
}
at::Tensor cuda_rope(const at::Tensor&, const RopeTable&, bool) {
  refuse();
}
std::pair<at::Tensor, at::Tensor> cuda_norm_rope(const at::Tensor&, const at::Tensor&, const RopeTable&, double) {
  refuse();
}
at::Tensor cuda_norm_rope_backward(const at::Tensor&, const at::Tensor&, const at::Tensor&, const RopeTable&,
                                   const at::Tensor&) {
  refuse();
}
at::Tensor cuda_swiglu(const at::Tensor&, const at::Tensor&) {
  refuse();
}
std::pair<at::Tensor, at::Tensor> cuda_swiglu_backward(const at::Tensor&, const at::Tensor&, const at::Tensor&) {
  refuse();
}
at::Tensor cuda_cross_entropy_(const at::Tensor&, const at::Tensor&, bool) {
  refuse();
}

CudaOptimizer::CudaOptimizer(const std::vector<cuda::FlatRange>&, const std::vector<std::int64_t>&,
                             const std::vector<double>&, at::Device)
    : places_(0), groups_(0), chunk_count_(0), part_count_(0) {
  refuse();
}
at::Tensor CudaOptimizer::squares(const at::Tensor&, double) {
  refuse();
}
void CudaOptimizer::set_factors(const at::Tensor&, ClipKind, double, double) {
  refuse();
}
void CudaOptimizer::update(const Memory&, const Rates&) {
  refuse();
}

}  // namespace shine
