#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "kernels/torch/attention.h"
#include "shine/config/ops_config.h"
#include "shine/tensor/rope_table.h"
#include "shine/tensor/token_rows.h"

namespace shine {

/// Which of B_l adapters serves each of N tokens.
struct TokenAdapters {
  std::int64_t count = 0;           ///< B_l; 0: no LoRA
  std::vector<std::int64_t> spans;  ///< (B_l + 1) offsets of each adapter's tokens; empty: the mask alone knows
  at::Tensor mask;                  ///< (N, B_l), of the activations' type, 1 where the adapter serves the token: all
                                    ///< adapters' small products are one, masked by 0 (so one adapter that is not
                                    ///< finite spoils all rows). Few launches, but B_l times the work; undefined: one
                                    ///< product per span

  /// Consecutive rows share an adapter. Throws ShapeError unless `count` divides their number.
  static TokenAdapters of(const RowLayout& rows, std::int64_t count);

  /// The same with a mask, where there are several adapters.
  static TokenAdapters masked(const RowLayout& rows, std::int64_t count, at::Device device, at::ScalarType type);
};

/// What all sub-layers of a pass share; members marked cpu or torch are read by that backend only.
struct SublayerBatch {
  RowLayout rows;  ///< R rows, N tokens
  TokenAdapters adapters;
  at::Tensor cos, sin;   ///< cpu: (N, d / 2) of each token's place, float32 (float64 for float64)
  RopeTable rope;        ///< torch: of the activations' type
  PackedRows attention;  ///< torch
};

/// Some of a batch's tokens, in increasing order.
struct TokenChoice {
  RowLayout rows;                  ///< cpu: the same R rows, Nq tokens
  std::vector<std::int64_t> flat;  ///< cpu: (Nq) index among all N tokens
  at::Tensor positions;            ///< (Nq), int64: the same, on the activations' device
  TokenAdapters adapters;
};

/// What the activations of a pass are, and how they are computed.
struct PassShape {
  at::ScalarType type = at::kFloat;
  at::Device device = at::kCPU;
  AttentionLayout attention = AttentionLayout::per_row;
  std::int64_t head_dim = 0;
  double rope_theta = 0.0;
  std::int64_t adapters = 0;  ///< B_l, 0: no LoRA
  bool masked = false;        ///< torch: several adapters by a mask
  RopeScaling rope_scaling = {};
};

/// Throws ShapeError unless the adapters divide the rows.
std::shared_ptr<const SublayerBatch> make_sublayer_batch(SublayerBackend backend, const RowLayout& rows,
                                                         const PassShape& shape);

/// @param positions  (Nq), int64, increasing: on a CPU ShapeError otherwise. A GPU's are not read by the host, so
///                   several adapters get a mask there in place of spans
std::shared_ptr<const TokenChoice> choose_tokens(const SublayerBatch& batch, const at::Tensor& positions);

}  // namespace shine
