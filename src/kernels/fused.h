#pragma once

#include "shine/common/api.h"
#include "shine/config/ops_config.h"

namespace shine {

/// What runs on a GPU in a form of its own. Each has a reference, the composition of LibTorch's operations.
enum class CudaKernel {
  rms_norm,
  rope,
  swiglu,
  cross_entropy,
  adamw,
  gradient_norm,
  packed_attention,  ///< LibTorch's flash attention over packed rows, in place of padded ones
  decoding_graph,    ///< not a kernel but a graph of them: evaluation.decoding.cuda_graph
  m2p_graph,         ///< two graphs: hypernetwork.cuda_graph
};

/// Sets the form of all operations of this process (`ops.fused`); made before any of them runs.
SHINE_API void set_fused_ops(FusedOps mode);

FusedOps fused_ops();

/// True for a kernel in the list of src/ops/cuda/checked_kernels.h.
bool is_checked_kernel(CudaKernel kernel);

/// True where tensors on a GPU go through the kernel: `ops.fused` is on, or auto and it is a checked one. A build
/// without kernels (LibTorch without CUDA, SHINE_WITH_CUDA=OFF) has none to use: its operations stay plain.
bool use_cuda_kernel(CudaKernel kernel);

/// True where work that can be recorded as the CUDA graph `kernel` is to be run in that form: the key is on, or auto
/// and the graph is a checked one; never with `ops.fused: off`. A CPU runs the form without recording.
bool use_cuda_graph(CudaGraph key, CudaKernel kernel);

/// True where operations may take a form other than their reference: `ops.fused` is not off.
bool use_fused_forms();

/// While it lives, this thread's operations are their references, whatever `ops.fused` says.
class ReferenceForms {
 public:
  ReferenceForms();
  ~ReferenceForms();
  ReferenceForms(const ReferenceForms&) = delete;
  ReferenceForms& operator=(const ReferenceForms&) = delete;

 private:
  bool before_;
};

/// Another form of the operations while it lives.
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
