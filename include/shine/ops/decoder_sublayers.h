#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "shine/tensor/token_rows.h"

namespace shine {

/// A frozen linear map y = x W^T + bias as the sub-layers' products read it.
struct PreparedLinear {
  at::Tensor forward;   ///< right operand of x W^T, made of W^T (in, out)
  at::Tensor backward;  ///< right operand of dy W, made of W (out, in); W itself for float32 and float64
  at::Tensor bias;      ///< (out), float32 (float64 for float64), undefined: none
  std::int64_t in = 0, out = 0;
};

/// @param weight  (out, in)
/// @param bias    (out) or undefined
PreparedLinear prepare_linear(const at::Tensor& weight, const at::Tensor& bias);

/// One projection's LoRA: a (B_l, in, r), b (B_l, r, out), c (B_l, out) or undefined.
struct SublayerLora {
  at::Tensor a, b, c;
};

/// The frozen weights of x + o(attention(q, k, v of norm(x))). Norm weights are float32 (float64 for float64).
struct AttentionWeights {
  at::Tensor norm;                       ///< (H)
  at::Tensor q_norm, k_norm;             ///< (d), undefined: no norm on q and k
  std::array<PreparedLinear, 4> linear;  ///< q, k, v, o
  std::int64_t heads = 0, kv_heads = 0, head_dim = 0;
  double eps = 1e-6;
};

/// The frozen weights of x + down(silu(gate) * up of norm(x)).
struct MlpWeights {
  at::Tensor norm;                       ///< (H)
  std::array<PreparedLinear, 3> linear;  ///< gate, up, down
  double eps = 1e-6;
};

/// What all layers of a pass share.
struct SublayerBatch {
  RowLayout rows;                   ///< R rows, N tokens
  at::Tensor cos, sin;              ///< (N, d / 2) of each token's place, float32 (float64 for float64)
  std::vector<std::int64_t> spans;  ///< (B_l + 1) offsets of the tokens of each adapter; empty: no LoRA
};

/// A choice of tokens, rising.
struct TokenChoice {
  RowLayout rows;                   ///< the same R rows, Nq tokens
  std::vector<std::int64_t> flat;   ///< (Nq) index among all N tokens
  std::vector<std::int64_t> spans;  ///< as in SublayerBatch, over the chosen tokens; empty: no LoRA
};

/// What a sub-layer keeps for its backward.
enum class Keep {
  all,    ///< every value that the gradient needs
  input,  ///< x alone: the rest is computed again in the backward
};

/// Whether sub-layers run for activations of `type` on `device`: the CPU engine's processors (AVX-512, for bfloat16
/// with its bf16 instructions), and not with `ops.fused: off`.
bool sublayers_run(at::ScalarType type, at::Device device);

/// y = x + o(attention(q, k, v of norm(x))) with a LoRA on each projection; all of it in one pass over blocks of
/// tokens that stay in cache, but for the attention itself. Hand-written backward for x and the LoRAs.
/// @param x       (N, H), of a type that sublayers_run
/// @param lora    of q, k, v, o; null: none
/// @param chosen  null, or: only these tokens' y are computed
/// @return        (N, H), or (Nq, H)
at::Tensor attention_sublayer(const std::shared_ptr<const AttentionWeights>& weights, const at::Tensor& x,
                              const std::array<SublayerLora, 4>* lora,
                              const std::shared_ptr<const SublayerBatch>& batch,
                              const std::shared_ptr<const TokenChoice>& chosen, Keep keep);

/// y = x + down(silu(gate) * up of norm(x)) with a LoRA on each projection, in one pass over blocks of tokens.
/// @param x      (N, H)
/// @param lora   of gate, up, down; null: none
/// @param spans  (B_l + 1) offsets of each adapter's tokens; not read without a LoRA
at::Tensor mlp_sublayer(const std::shared_ptr<const MlpWeights>& weights, const at::Tensor& x,
                        const std::array<SublayerLora, 3>* lora, const std::vector<std::int64_t>& spans, Keep keep);

}  // namespace shine
