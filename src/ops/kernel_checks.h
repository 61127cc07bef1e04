#pragma once

#include <c10/core/Device.h>

#include <functional>
#include <string>
#include <vector>

#include "kernels/fused.h"

namespace shine {

/// A comparison of a GPU kernel with its reference.
struct KernelCheck {
  CudaKernel kernel;
  std::function<bool(at::Device)> agrees;  ///< runs the kernel (KernelUnderCheck) on the device
};

/// One for every kernel, on a few small shapes in float32 and bfloat16: values and gradients.
std::vector<KernelCheck> cuda_kernel_checks();

/// With `ops.fused: auto` and a GPU: checks every kernel on it, which takes milliseconds. One that differs from its
/// reference or throws is off for this process, with a warning; the log says what passed. What passed is kept in a file
/// (kernel_verdicts.h) and not checked again by the same build on the same kind of GPU. Call it before anything runs
/// there. Throws UnsupportedError where a kernel has left the GPU unusable.
void check_cuda_kernels(at::Device device);

/// parse_device, and check_cuda_kernels on it.
at::Device open_device(const std::string& name);

class KernelVerdicts;

/// The given checks: sets what has passed (set_passed). Those that `verdicts` holds are not made again.
void run_kernel_checks(const std::vector<KernelCheck>& checks, at::Device device, KernelVerdicts& verdicts);

}  // namespace shine
