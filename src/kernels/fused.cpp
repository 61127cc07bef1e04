#include "kernels/fused.h"

#include <array>
#include <atomic>

namespace shine {
namespace {

std::atomic<FusedOps> mode_of_process{FusedOps::automatic};
thread_local bool references_only = false;
std::array<std::atomic<bool>, kCudaKernels> passed_kernels{}, kernels_under_check{};

std::size_t place_of(CudaKernel kernel) {
  return static_cast<std::size_t>(kernel);
}

bool runs_in_auto(CudaKernel kernel) {
  return passed_kernels.at(place_of(kernel)) || kernels_under_check.at(place_of(kernel));
}

}  // namespace

void set_fused_ops(FusedOps mode) {
  mode_of_process = mode;
}

FusedOps fused_ops() {
  return references_only ? FusedOps::off : mode_of_process.load();
}

std::string_view name_of(CudaKernel kernel) {
  switch (kernel) {
    case CudaKernel::rms_norm: return "RMSNorm";
    case CudaKernel::rope: return "rotary embedding";
    case CudaKernel::swiglu: return "SwiGLU";
    case CudaKernel::cross_entropy: return "cross-entropy";
    case CudaKernel::adamw: return "AdamW";
    case CudaKernel::gradient_norm: return "gradient norm";
    case CudaKernel::packed_attention: return "packed attention";
    case CudaKernel::decoding_graph: return "graph of a decoding step";
    case CudaKernel::m2p_graph: return "graphs of the M2P";
  }
  return "";
}

void set_passed(CudaKernel kernel, bool passed) {
  passed_kernels.at(place_of(kernel)) = passed;
}

bool has_passed(CudaKernel kernel) {
  return passed_kernels.at(place_of(kernel));
}

KernelUnderCheck::KernelUnderCheck(CudaKernel kernel) : kernel_(kernel) {
  kernels_under_check.at(place_of(kernel)) = true;
}

KernelUnderCheck::~KernelUnderCheck() {
  kernels_under_check.at(place_of(kernel_)) = false;
}

bool use_cuda_kernel(CudaKernel kernel) {
  const FusedOps mode = fused_ops();
  return mode == FusedOps::on || (mode == FusedOps::automatic && runs_in_auto(kernel));
}

bool use_cuda_graph(CudaGraph key, CudaKernel kernel) {
  if (fused_ops() == FusedOps::off) return false;
  return key == CudaGraph::on || (key == CudaGraph::automatic && runs_in_auto(kernel));
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
