#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "shine/models/decoder/decoder.h"
#include "shine/ops/decoder_sublayers.h"

namespace shine {

/// A decoder's layers in the form that sub-layers read. Safe to ask from several threads.
class PreparedLayers {
 public:
  struct Layer {
    std::shared_ptr<const AttentionWeights> attention;
    std::shared_ptr<const MlpWeights> mlp;
  };

  /// Forgets the layers.
  void clear();

  /// The layers, made at the first call and again when a weight has changed since.
  std::shared_ptr<const std::vector<Layer>> get(const std::vector<DecoderLayer>& weights, const DecoderConfig& config,
                                                SublayerEngine engine);

 private:
  /// Every weight that was read, held so that its address stays its own, and its version then.
  using Stamp = std::vector<std::pair<at::Tensor, std::uint32_t>>;

  bool is_current(const std::vector<DecoderLayer>& weights) const;

  std::mutex mutex_;
  Stamp stamp_;
  SublayerEngine engine_ = SublayerEngine::blocks;
  std::shared_ptr<const std::vector<Layer>> layers_;
};

}  // namespace shine
