#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "kernels/sublayer_parts.h"
#include "shine/decoder/decoder.h"

namespace shine {

/// Whether the fused form computes layers of this config: true only where every capability that it does not read is at
/// its default. So a capability that is added to DecoderConfig and DecoderLayer::forward runs in the readable form, in
/// training too, until it is added here.
bool fused_layers_know(const DecoderConfig& config);

/// A decoder's frozen layers as fused sub-layers, attention and MLP, with hand-written gradients: the fast form of
/// DecoderLayer::forward for whole rows. Safe to use from several threads.
class FusedLayers {
 public:
  /// The backend that runs the layers; nothing where DecoderLayer::forward does: weights that are trained,
  /// `ops.fused: off`, a config that fused_layers_know not, or a form that does not give what the readable one gives
  /// (compared once, on a small decoder of the same capabilities).
  std::optional<SublayerBackend> backend_for(const Decoder& decoder);

  /// Decoder::run_layers.
  at::Tensor run(const Decoder& decoder, SublayerBackend backend, at::Tensor hidden, const RowLayout& rows,
                 const LoraTree* lora, const at::Tensor& positions, const Decoder::LayerVisitor& visitor);

  /// Makes what `run` reads of the weights: for the CPU backend a copy of the layers, two for bfloat16.
  void prepare(const Decoder& decoder, SublayerBackend backend) { prepared(decoder, backend); }

  /// Forgets it.
  void clear();

 private:
  struct Layer {
    std::shared_ptr<const AttentionWeights> attention;
    std::shared_ptr<const MlpWeights> mlp;
  };
  using Layers = std::shared_ptr<const std::vector<Layer>>;

  /// Made at the first call and again when a weight has changed since.
  Layers prepared(const Decoder& decoder, SublayerBackend backend);
  static Layer prepare_layer(const DecoderLayer& layer, const DecoderConfig& config, SublayerBackend backend);
  bool is_current() const;

  /// A weight that was read, and what it was then; `values` keeps the memory, so that its address stays its own.
  struct Stamp {
    at::Tensor weight, values;
    std::uint32_t version = 0;
  };

  std::mutex mutex_;
  std::vector<Stamp> stamps_;
  SublayerBackend backend_ = SublayerBackend::cpu;
  Layers layers_;
  std::once_flag checked_;
  bool agree_ = false;
};

}  // namespace shine
