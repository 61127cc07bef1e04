#include "kernels/fused.h"

#include <algorithm>
#include <atomic>

#include "kernels/cuda/checked_kernels.h"

namespace shine {
namespace {

std::atomic<FusedOps> mode_of_process{FusedOps::automatic};
thread_local bool references_only = false;

}  // namespace

void set_fused_ops(FusedOps mode) {
  mode_of_process = mode;
}

FusedOps fused_ops() {
  return references_only ? FusedOps::off : mode_of_process.load();
}

bool is_checked_kernel(CudaKernel kernel) {
  return std::ranges::any_of(kCheckedKernels, [=](const CheckedKernel& checked) { return checked.kernel == kernel; });
}

bool use_cuda_kernel(CudaKernel kernel) {
  const FusedOps mode = fused_ops();
  return mode == FusedOps::on || (mode == FusedOps::automatic && is_checked_kernel(kernel));
}

bool use_cuda_graph(CudaGraph key, CudaKernel kernel) {
  if (fused_ops() == FusedOps::off) return false;
  return key == CudaGraph::on || (key == CudaGraph::automatic && is_checked_kernel(kernel));
}

ReferenceForms::ReferenceForms() : before_(references_only) {
  references_only = true;
}

ReferenceForms::~ReferenceForms() {
  references_only = before_;
}

bool use_fused_forms() {
  return fused_ops() != FusedOps::off;
}

}  // namespace shine
