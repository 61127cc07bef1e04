#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "kernels/sublayer_parts.h"
#include "shine/decoder/decoder.h"

namespace shine {

/// Whether the fused form computes layers of this config: true only where every capability that it does not read is at
/// its default. A capability added to DecoderConfig and DecoderLayer::forward therefore runs in the readable form,
/// in training too, until it is added here.
bool fused_layers_know(const DecoderConfig& config);

/// The backend that runs the layers; nothing where DecoderLayer::forward does: weights that are trained,
/// `ops.fused: off`, a config for which fused_layers_know is false, or a fused form that disagrees with the readable
/// one (compared on a small decoder with the same capabilities, once in the process).
std::optional<SublayerBackend> fused_backend(const Decoder& decoder);

/// Whether linear_cross_entropy computes the loss, which takes the head's place too: under the same conditions, and if
/// it agrees with Decoder::logits.
bool fused_loss_runs(const Decoder& decoder);

/// The backend that runs frozen layers of `config`, as far as the config tells; nothing where DecoderLayer::forward
/// does: `ops.fused: off`, or a config for which fused_layers_know is false.
/// @param type, device  of the weights
std::optional<SublayerBackend> fused_layers_backend(const DecoderConfig& config, at::ScalarType type,
                                                    at::Device device);

/// A decoder's frozen layers as fused sub-layers, attention and MLP, with hand-written gradients: the fast form of
/// DecoderLayer::forward for whole rows. Safe to use from several threads.
class FusedLayers {
 public:
  /// Decoder::run_layers.
  at::Tensor run(const Decoder& decoder, SublayerBackend backend, at::Tensor hidden, const RowLayout& rows,
                 const LoraTree* lora, const at::Tensor& positions, const Decoder::LayerVisitor& visitor);

  /// Prepares the weights that `run` reads: for the CPU backend a copy of the layers, two for bfloat16.
  void prepare(const Decoder& decoder, SublayerBackend backend) { prepared(decoder, backend); }

  /// Forgets it.
  void clear();

 private:
  struct Layer {
    std::shared_ptr<const AttentionWeights> attention;
    std::shared_ptr<const MlpWeights> mlp;
  };
  using Layers = std::shared_ptr<const std::vector<Layer>>;

  /// Prepared at the first call, and again once a weight has changed.
  Layers prepared(const Decoder& decoder, SublayerBackend backend);
  static Layer prepare_layer(const DecoderLayer& layer, const DecoderConfig& config, SublayerBackend backend);
  bool is_current() const;

  /// A weight as it was when it was prepared; `values` holds on to the memory, so that no other tensor gets its
  /// address.
  struct Stamp {
    at::Tensor weight, values;
    std::uint32_t version = 0;
  };

  std::mutex mutex_;
  std::vector<Stamp> stamps_;
  SublayerBackend backend_ = SublayerBackend::cpu;
  Layers layers_;
};

}  // namespace shine
