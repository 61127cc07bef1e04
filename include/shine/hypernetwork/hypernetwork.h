#pragma once

#include <memory>
#include <string>
#include <vector>

#include "shine/common/api.h"
#include "shine/config/hypernetwork_config.h"
#include "shine/decoder/decoder.h"
#include "shine/hypernetwork/memory_to_params.h"
#include "shine/hypernetwork/meta_lora.h"
#include "shine/lora/lora_tree.h"

namespace shine {

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

class GraphedM2p;

/// All that SHINE trains: memory embeddings, Meta-LoRA and M2P, around a frozen decoder (paper section 3). A LibTorch
/// module; its parameters, float32, have the names of checkpoints: mem_tokens, metanetwork.*, metalora.*,
/// extra_metalora.*, new_token_rows. The decoder is not among its children.
class SHINE_API Hypernetwork : public torch::nn::Module, public DeclaresParameters {
 public:
  /// Parameters have no values yet: call initialise or load. `decoder`, which must outlive this object, is given the
  /// new token rows.
  Hypernetwork(Decoder& decoder, HypernetworkOptions options);
  ~Hypernetwork() override;
  Hypernetwork(const Hypernetwork&) = delete;
  Hypernetwork& operator=(const Hypernetwork&) = delete;

  /// Text to LoRA: extract_memory, generate_vector, slice.
  GeneratedLora generate(const TokenRows& contexts) const;

  /// The memory states alone, (B, L, M * pool, H), float32 (paper section 3.2).
  at::Tensor extract_memory(const TokenRows& contexts) const;

  /// The M2P alone: memory states to the generated vector, (B, L * M * H) (paper section 3.3). With gradients it may
  /// run as CUDA graphs (`hypernetwork.cuda_graph`, read when this object gets its values).
  at::Tensor generate_vector(const at::Tensor& memory_states) const;

  /// The vector to the LoRA tree.
  LoraTree slice(const at::Tensor& vector) const;

  /// The part of each layer's block that is used: (B, L * M * H) -> (B, L * numel), for the regulariser.
  at::Tensor used_values(const at::Tensor& vector) const;

  /// First values from a seed: the same on every device. New token rows start at the mean of all embedding rows.
  void initialise(std::uint64_t seed);

  /// Reads every tensor by its checkpoint name; `where` names the source in errors. New token rows may be absent.
  void load(RawTensorDict tensors, const std::string& where);

  /// Throws the ShapeError of load where that would, and changes nothing.
  void check(RawTensorDict tensors, const std::string& where) const;

  /// Every parameter, frozen ones too, in the order in which checkpoints hold them.
  std::vector<NamedTensor> tensors() const;

  /// The parameters that are trained, each with its group and Decay.
  std::vector<TrainedParameter> trained() const;

  const Decoder& decoder() const { return decoder_; }
  const HypernetworkOptions& options() const { return options_; }
  const M2pShape& shape() const { return shape_; }

  /// M * pool, behind every context.
  std::int64_t memory_tokens() const { return memory_embeddings_.size(0); }

 private:
  Decoder& decoder_;
  HypernetworkOptions options_;
  M2pShape shape_;
  at::Tensor memory_embeddings_;  ///< (M * pool, H)
  at::Tensor new_token_rows_;     ///< (K, H); undefined: none
  std::shared_ptr<MemoryToParams> memory_to_params_;
  MetaLora meta_lora_{nullptr}, extra_meta_lora_{nullptr};
  std::unique_ptr<GraphedM2p> graphed_m2p_;
};

}  // namespace shine
