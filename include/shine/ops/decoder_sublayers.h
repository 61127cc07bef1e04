#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "shine/ops/sublayer_batch.h"

namespace shine {

/// A frozen linear map y = x W^T + bias as an engine's products read it.
struct PreparedLinear {
  at::Tensor forward;   ///< blocks: right operand of x W^T, made of W^T (in, out); operations: W (out, in)
  at::Tensor backward;  ///< blocks: right operand of dy W, made of W; W itself for float32, float64 and operations
  at::Tensor bias;      ///< (out), for blocks float32 (float64 for float64), undefined: none
  std::int64_t in = 0, out = 0;
};

/// @param weight  (out, in)
/// @param bias    (out) or undefined
PreparedLinear prepare_linear(SublayerEngine engine, const at::Tensor& weight, const at::Tensor& bias);

/// A norm's weight: for blocks in float32 (float64 for float64), for operations as it is.
at::Tensor prepare_norm(SublayerEngine engine, const at::Tensor& weight);

/// One projection's LoRA: a (B_l, in, r), b (B_l, r, out), c (B_l, out) or undefined.
struct SublayerLora {
  at::Tensor a, b, c;
};

/// The frozen weights of x + o(attention(q, k, v of norm(x))), prepared for one engine.
struct AttentionWeights {
  SublayerEngine engine = SublayerEngine::blocks;
  at::Tensor norm;                       ///< (H)
  at::Tensor q_norm, k_norm;             ///< (d), undefined: no norm on q and k
  std::array<PreparedLinear, 4> linear;  ///< q, k, v, o
  std::int64_t heads = 0, kv_heads = 0, head_dim = 0;
  double eps = 1e-6;
};

/// The frozen weights of x + down(silu(gate) * up of norm(x)).
struct MlpWeights {
  SublayerEngine engine = SublayerEngine::blocks;
  at::Tensor norm;                       ///< (H)
  std::array<PreparedLinear, 3> linear;  ///< gate, up, down
  double eps = 1e-6;
};

/// What a sub-layer keeps for its backward.
enum class Keep {
  all,    ///< every value that the gradient needs
  input,  ///< x and the LoRAs: the rest is computed again in the backward
};

/// Whether the CPU engine computes with `type`: on processors with AVX-512, for bfloat16 with its bf16 instructions,
/// and not with `ops.fused: off`.
bool blocks_run(at::ScalarType type, at::Device device);

/// y = x + o(attention(q, k, v of norm(x))) with a LoRA on each projection. The CPU engine makes one pass over blocks
/// of tokens, but for the attention itself. Hand-written backward for x and the LoRAs, good for
/// one run; it throws where one of them was changed in place. The engine is that of the weights, and the batch's must
/// be the same (ShapeError).
/// @param x       (N, H), of the weights' type; for blocks one that blocks_run
/// @param lora    of q, k, v, o; null: none
/// @param chosen  null, or: only these tokens' y are computed
/// @return        (N, H), or (Nq, H)
at::Tensor attention_sublayer(const std::shared_ptr<const AttentionWeights>& weights, const at::Tensor& x,
                              const std::array<SublayerLora, 4>* lora,
                              const std::shared_ptr<const SublayerBatch>& batch,
                              const std::shared_ptr<const TokenChoice>& chosen, Keep keep);

/// y = x + down(silu(gate) * up of norm(x)) with a LoRA on each projection; engines and backward as above.
/// @param x         (N, H)
/// @param lora      of gate, up, down; null: none
/// @param adapters  of the tokens; not read without a LoRA
at::Tensor mlp_sublayer(const std::shared_ptr<const MlpWeights>& weights, const at::Tensor& x,
                        const std::array<SublayerLora, 3>* lora, const TokenAdapters& adapters, Keep keep);

}  // namespace shine
