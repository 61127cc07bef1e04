#pragma once

#include <torch/nn/modules/container/moduledict.h>

#include <vector>

#include "shine/common/api.h"
#include "shine/lora/lora_tree.h"
#include "shine/nn/module.h"

namespace shine {

/// A, B and C of one projection.
class SHINE_API ProjectionLoraImpl : public Module<ProjectionLoraImpl> {
 public:
  ProjectionLoraImpl(ProjectionSpec sizes, std::int64_t r) : spec(sizes), rank(r) { reset(); }
  void reset() override;

  ProjectionSpec spec;
  std::int64_t rank;
  LoraWeights weights;  ///< B_l = 1
};
TORCH_MODULE(ProjectionLora);

/// One layer's, nested as published checkpoints name them: "attention.q", .., "mlp.down".
class SHINE_API LayerLoraImpl : public Module<LayerLoraImpl> {
 public:
  LayerLoraImpl(LoraSpec sizes, std::int64_t r) : spec(sizes), rank(r) { reset(); }
  void reset() override;

  const LoraWeights& weights(Projection which) const;

  LoraSpec spec;
  std::int64_t rank;
  torch::nn::ModuleDict attention{nullptr}, mlp{nullptr};  ///< of ProjectionLora, by name_of(projection)
};
TORCH_MODULE(LayerLora);

/// The learned LoRA under which the frozen decoder reads a context (paper section 3.2): one adapter, shared by the
/// batch. Its parameters are named "{layer}.{attention|mlp}.{projection}.{A|B|C}".
class SHINE_API MetaLoraImpl : public Module<MetaLoraImpl> {
 public:
  MetaLoraImpl(LoraSpec sizes, std::int64_t r) : spec(sizes), rank(r) { reset(); }
  void reset() override;

  /// The parameters themselves.
  LoraTree tree() const;

  /// A ~ Normal with mean 0 and variance `scale`, B = 0, C = 0.
  void initialise(double scale, at::Generator& generator);

  LoraSpec spec;
  std::int64_t rank;
  std::vector<LayerLora> layers;
};
TORCH_MODULE(MetaLora);

}  // namespace shine
