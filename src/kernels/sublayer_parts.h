#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include "kernels/sublayer_batch.h"
#include "shine/tensor/lora_weights.h"

namespace shine {

/// A frozen linear map y = x W^T + bias as a backend's products read it.
struct PreparedLinear {
  at::Tensor forward;   ///< cpu: right operand of x W^T, made of W^T (in, out); torch: W (out, in)
  at::Tensor backward;  ///< cpu: right operand of dy W, made of W; W itself for float32, float64 and torch
  at::Tensor bias;      ///< (out), for the CPU backend float32 (float64 for float64), undefined: none
  std::int64_t in = 0, out = 0;
};

/// @param weight  (out, in)
/// @param bias    (out) or undefined
PreparedLinear prepare_linear(SublayerBackend backend, const at::Tensor& weight, const at::Tensor& bias);

/// A norm's weight: for the CPU backend in float32 (float64 for float64), for the torch backend as it is.
at::Tensor prepare_norm(SublayerBackend backend, const at::Tensor& weight);

/// The frozen weights of x + o(attention(q, k, v of norm(x))), prepared for one backend.
struct AttentionWeights {
  SublayerBackend backend = SublayerBackend::cpu;
  at::Tensor norm;                       ///< (H)
  at::Tensor q_norm, k_norm;             ///< (d), undefined: no norm on q and k
  std::array<PreparedLinear, 4> linear;  ///< q, k, v, o
  std::int64_t heads = 0, kv_heads = 0, head_dim = 0;
  double eps = 1e-6;
};

/// The frozen weights of x + down(silu(gate) * up of norm(x)).
struct MlpWeights {
  SublayerBackend backend = SublayerBackend::cpu;
  at::Tensor norm;                       ///< (H)
  std::array<PreparedLinear, 3> linear;  ///< gate, up, down
  double eps = 1e-6;
};

/// What a call of the attention sub-layer reads beside x.
struct AttentionPass {
  std::shared_ptr<const SublayerBatch> batch;
  std::shared_ptr<const TokenChoice> chosen;  ///< the tokens whose y is computed; null: all

  /// Of the tokens whose y is computed.
  const TokenAdapters& adapters_out() const { return chosen ? chosen->adapters : batch->adapters; }
};

/// Which gradients of a sub-layer, or of a group of adapted maps, are wanted.
struct WantedGradients {
  bool x = true;
  bool lora = true;  ///< of any LoRA
};

struct SublayerGradients {
  at::Tensor x;                   ///< undefined where it was not wanted
  std::vector<LoraWeights> lora;  ///< of each projection, of A's type, C undefined where it has none; empty without a
                                  ///< LoRA and where none was wanted
};

/// The LoRAs of `count` projections from `first` on; none of none.
inline std::span<const LoraWeights> some_of(std::span<const LoraWeights> lora, std::size_t first, std::size_t count) {
  return lora.empty() ? lora : lora.subspan(first, count);
}

}  // namespace shine
