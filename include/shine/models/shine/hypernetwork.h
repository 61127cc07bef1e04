#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "shine/config/hypernetwork_config.h"
#include "shine/lora/lora_layout.h"
#include "shine/models/decoder/decoder.h"
#include "shine/models/shine/memory_to_params.h"

namespace shine {

/// A tensor by its checkpoint name.
struct NamedTensor {
  std::string name;
  at::Tensor tensor;
};

/// What one context pass gives for B contexts.
struct GeneratedLora {
  LoraTree tree;             ///< B adapters
  at::Tensor vector;         ///< (B, L * M * H): the M2P's output; the first `used` values of each layer's block count
  at::Tensor memory_states;  ///< (B, L, M * pool, H), float32
};

struct HypernetworkOptions {
  HypernetworkConfig config;
  std::int64_t extra_meta_lora_rank = 0;  ///< above 0: the first Meta-LoRA is frozen, an added one is trained
  bool train_meta_lora = true;            ///< the first one, where none is added
  std::int64_t new_tokens = 0;            ///< embedding rows made for tokens that the backbone has no row for
  bool train_new_tokens = true;
  bool recompute = false;
};

/// All that SHINE trains: memory embeddings, Meta-LoRA and M2P, around a frozen decoder (paper section 3).
/// Parameters are float32 leaves named mem_tokens, metanetwork.*, metalora.*, extra_metalora.*, new_token_rows.
class Hypernetwork {
 public:
  /// Parameters are allocated on the decoder's device, without values: call initialise or load. `decoder` must
  /// outlive this object; it is given the new token rows.
  Hypernetwork(Decoder& decoder, HypernetworkOptions options);
  Hypernetwork(const Hypernetwork&) = delete;
  Hypernetwork& operator=(const Hypernetwork&) = delete;

  /// Text to LoRA: runs the contexts through the decoder with the Meta-LoRA and the memory embeddings, then the M2P.
  GeneratedLora generate(const TokenRows& contexts) const;

  /// The memory states alone, (B, L, M * pool, H), float32 (SPEC section 4).
  at::Tensor extract_memory(const TokenRows& contexts) const;

  /// The M2P alone: memory states to the generated vector, (B, L * M * H) (SPEC section 5). With gradients it may be a
  /// recorded form (`hypernetwork.cuda_graph`, as it is when this object is made).
  at::Tensor generate_vector(const at::Tensor& memory_states) const;

  /// The vector to the LoRA tree (SPEC section 3).
  LoraTree slice(const at::Tensor& vector) const;

  /// The part of each layer's block that is used: (B, L * M * H) -> (B, L * numel), for the regulariser.
  at::Tensor used_values(const at::Tensor& vector) const;

  /// First values from a seed: the same on every device. New token rows start at the mean of all embedding rows.
  void initialise(std::uint64_t seed);

  /// Reads every tensor by its checkpoint name; `where` names the source in errors. New token rows may be absent.
  void load(RawTensorDict tensors, const std::string& where);

  /// Every tensor, frozen ones too, in a fixed order.
  std::vector<NamedTensor> tensors() const;

  /// The leaves that are trained.
  std::vector<NamedTensor> trained() const;

  const Decoder& decoder() const { return decoder_; }
  const HypernetworkOptions& options() const { return options_; }
  const M2pShape& shape() const { return shape_; }

 private:
  void declare_parameters();
  bool is_trained(const std::string& name) const;
  void finish_loading();

  Decoder& decoder_;
  HypernetworkOptions options_;
  M2pShape shape_;
  at::Tensor memory_embeddings_, new_token_rows_;
  LoraTree meta_lora_, extra_meta_lora_;
  std::unique_ptr<MemoryToParams> memory_to_params_;
  ParameterList parameters_;
};

}  // namespace shine
