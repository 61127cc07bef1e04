#pragma once

#include "shine/nn/encoder_layer.h"

namespace shine {

/// Whether the fused form computes a layer of these options: true only where every option that it does not read is at
/// its default.
bool fused_encoder_layer_knows(const EncoderLayerOptions& options);

/// EncoderLayer::forward as two fused sub-layers, for x (S, T, I, d) for which encoder_sublayers_run.
at::Tensor fused_encoder_layer(const EncoderLayer& layer, const at::Tensor& x, const at::Tensor& attn_mask);

}  // namespace shine
