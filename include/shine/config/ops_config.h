#pragma once

#include <array>
#include <string_view>

#include "shine/config/constraint.h"

namespace shine {

/// automatic: on a CPU, what the processor supports; on a GPU, the kernels that pass a check there. on: every kernel
/// that is built. off: the references, made of LibTorch's operations.
enum class FusedOps { automatic, on, off };
constexpr std::array<std::string_view, 3> config_names(FusedOps) {
  return {"auto", "on", "off"};
}

/// CUDA graphs: launches captured once and replayed together. automatic: where they pass a check (see ops.fused).
enum class CudaGraph { automatic, on, off };
constexpr std::array<std::string_view, 3> config_names(CudaGraph) {
  return {"auto", "on", "off"};
}

/// By what the fused sub-layers of a decoder compute.
enum class SublayerBackend {
  cpu,    ///< the CPU backend: blocks of tokens that stay in cache
  torch,  ///< LibTorch's operations, on any device
};

/// How operations are computed; none of it changes a result beyond rounding, which tf32 makes coarser.
struct OpsConfig {
  FusedOps fused = FusedOps::automatic;
  bool tf32 = false;

  bool operator==(const OpsConfig&) const = default;

  template <class V>
  void visit(V& v) {
    v("fused", fused,
      "fused operations; auto = on a GPU only kernels that pass a check there, off = the references alone");
    v("tf32", tf32, "on a GPU, float32 matrix products in TF32: 10 bits of each factor's fraction");
  }
};

}  // namespace shine
