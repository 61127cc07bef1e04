#pragma once

#include <memory>
#include <vector>

#include "shine/common/api.h"
#include "shine/config/hypernetwork_config.h"
#include "shine/lora/lora_spec.h"
#include "shine/nn/module.h"

namespace shine {

/// The sizes a memory-to-parameter network is built for.
struct SHINE_API M2pShape {
  LoraSpec spec;                   ///< the adapted projections; spec.layers = L
  std::int64_t rank = 0;           ///< r of the generated LoRA
  std::int64_t hidden_size = 0;    ///< H
  std::int64_t memory_tokens = 0;  ///< M: what the generated vector needs

  /// With the M that a generated LoRA of `rank` takes.
  static M2pShape of(const LoraSpec& spec, std::int64_t rank, std::int64_t hidden_size);

  /// M * pool: the memory tokens behind a context, whose states the network reads.
  std::int64_t tokens_read(const M2pConfig& config) const { return memory_tokens * config.mean_pool_size; }
};

/// M2P: memory states (B, L, M * pool, H) -> the generated vector (B, L * M * H), which is the LoRA once reshaped
/// (paper section 3.3). Weights are float32 and named as in published checkpoints.
class SHINE_API MemoryToParams : public torch::nn::Module, public DeclaresParameters {
 public:
  virtual at::Tensor forward(const at::Tensor& memory_states) const = 0;

  /// Gives every parameter its first value: as PyTorch would; positions are zeros.
  virtual void initialise(at::Generator& generator) = 0;

 protected:
  at::Tensor declare(const std::string& name, at::IntArrayRef shape, Decay decay) {
    return DeclaresParameters::declare(*this, name, shape, decay);
  }

  /// Registers layer_pe (L, H) and token_pe (M * pool, H).
  void declare_positions(const M2pConfig& config, const M2pShape& shape);

  /// memory_states + layer_pe[:, None] + token_pe, both learned.
  at::Tensor add_positions(const at::Tensor& memory_states) const;
  void initialise_positions();

  /// Averages token m with m + M, m + 2 M, ..: (B, L, M * pool, H) -> (B, L, M, H).
  static at::Tensor mean_pool(const at::Tensor& x, std::int64_t pool);

 private:
  at::Tensor layer_pe_;  ///< (L, H)
  at::Tensor token_pe_;  ///< (M * pool, H)
};

/// MemoryToParams::initialise; throws Error that names a parameter which it left without a value.
SHINE_API void initialise_all(MemoryToParams& network, at::Generator& generator);

/// The config with every 0 replaced by what it stands for (heads H / 128, feed-forward 2 H, ..).
/// Throws ConfigError listing what does not divide.
SHINE_API M2pConfig resolve_m2p_config(M2pConfig config, const M2pShape& shape);

/// The type of the products' operands by `hypernetwork.dtype`: `auto` is that of the backbone's weights, float32 where
/// they are not bfloat16.
SHINE_API at::ScalarType m2p_compute_type(WeightDtype dtype, at::ScalarType backbone);

/// The network of `config.kind`, without values: allocate_parameters and initialise, or load_parameters.
/// @param recompute  save only each encoder layer's input for the backward
/// @param compute    operands of matrix products: float32 or bfloat16
SHINE_API std::shared_ptr<MemoryToParams> make_memory_to_params(const M2pConfig& config, const M2pShape& shape,
                                                                bool recompute, at::ScalarType compute = at::kFloat);

}  // namespace shine
