#pragma once

#include "shine/common/api.h"
#include "shine/config/ops_config.h"

namespace shine {

/// What has a faster form on a GPU. Each has a reference made of LibTorch operations (ops/README.md).
enum class CudaKernel {
  rms_norm,
  rope,
  swiglu,
  cross_entropy,
  adamw,
  gradient_norm,
  packed_attention,  ///< LibTorch's varlen flash attention instead of padded rows
  decoding_graph,    ///< a CUDA graph: evaluation.decoding.cuda_graph
  m2p_graph,         ///< two CUDA graphs: hypernetwork.cuda_graph
};

/// Sets `ops.fused` for this process; call it before any operation runs.
SHINE_API void set_fused_ops(FusedOps mode);

FusedOps fused_ops();

/// True for a kernel listed in cuda/checked_kernels.h.
bool is_checked_kernel(CudaKernel kernel);

/// True where tensors on a GPU go through the kernel: `ops.fused` is on, or auto and the kernel is checked. A build
/// without CUDA kernels (LibTorch without CUDA, SHINE_WITH_CUDA=OFF) never uses one.
bool use_cuda_kernel(CudaKernel kernel);

/// True where work that can be captured as the CUDA graph `kernel` should be: the key is on, or auto and the graph is
/// checked; never with `ops.fused: off`. A CPU runs the same code without capture.
bool use_cuda_graph(CudaGraph key, CudaKernel kernel);

/// True where operations may take a faster form than their reference: `ops.fused` is not off.
bool use_fused_forms();

/// While it lives, this thread runs the reference of every operation, whatever `ops.fused` says.
class ReferenceForms {
 public:
  ReferenceForms();
  ~ReferenceForms();
  ReferenceForms(const ReferenceForms&) = delete;
  ReferenceForms& operator=(const ReferenceForms&) = delete;

 private:
  bool before_;
};

/// Sets `ops.fused` while it lives.
class FusedOpsGuard {
 public:
  explicit FusedOpsGuard(FusedOps mode) : before_(fused_ops()) { set_fused_ops(mode); }
  ~FusedOpsGuard() { set_fused_ops(before_); }
  FusedOpsGuard(const FusedOpsGuard&) = delete;
  FusedOpsGuard& operator=(const FusedOpsGuard&) = delete;

 private:
  FusedOps before_;
};

}  // namespace shine
