#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace shine {

/// Whether AdamW decays a parameter; said where it is registered.
enum class Decay {
  always,          ///< matrices
  published_only,  ///< with `optimizer.decay: published`: memory embeddings, positions, C, new token rows
  never,           ///< biases and norms
};

/// Parameters that share a gradient norm where clipping is per group.
enum class ParameterGroup { m2p, meta_lora, backbone };

/// A leaf that is trained, by its checkpoint name.
struct TrainedParameter {
  std::string name;
  at::Tensor tensor;
  ParameterGroup group = ParameterGroup::backbone;
  Decay decay = Decay::always;
};

}  // namespace shine
