#pragma once

#include <cstddef>
#include <string_view>

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

inline constexpr std::size_t kCudaKernels = 9;

/// For messages: "RMSNorm", ..
std::string_view name_of(CudaKernel kernel);

/// What the check of a kernel on this process's GPU has found (ops/kernel_checks.h).
void set_passed(CudaKernel kernel, bool passed);

/// False until the kernel has been checked.
bool has_passed(CudaKernel kernel);

/// While it lives, `ops.fused: auto` uses the kernel, in every thread: a backward runs in another one.
class KernelUnderCheck {
 public:
  explicit KernelUnderCheck(CudaKernel kernel);
  ~KernelUnderCheck();
  KernelUnderCheck(const KernelUnderCheck&) = delete;
  KernelUnderCheck& operator=(const KernelUnderCheck&) = delete;

 private:
  CudaKernel kernel_;
};

/// True where tensors on a GPU go through the kernel: `ops.fused` is on, or auto and the kernel has passed its check on
/// this GPU. A build without CUDA kernels (LibTorch without CUDA, SHINE_WITH_CUDA=OFF) never uses one.
bool use_cuda_kernel(CudaKernel kernel);

/// True where work that can be captured as the CUDA graph `kernel` should be: the key is on, or auto and graphs have
/// passed their check; never with `ops.fused: off`. A CPU runs the same code without capture.
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
