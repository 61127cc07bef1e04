#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "shine/config/constraint.h"
#include "shine/config/key_traits.h"
#include "shine/config/ops_config.h"
#include "shine/config/weight_dtype.h"

namespace shine {

/// How a stretch of the generated vector becomes A (in, r) and B (r, out) (paper appendix): the first letter says
/// whether the rank is the right (r) or left (l) axis of the row-wise view that A is made of, the second the same of B.
/// The paper's rl: A = view(in, r), B = view(r, out).
enum class LoraReshape { rl, rr, lr, ll };
constexpr std::array<std::string_view, 4> config_names(LoraReshape) {
  return {"rl", "rr", "lr", "ll"};
}

/// Memory-to-parameter networks: the paper's transformer and its two ablation baselines.
enum class M2pKind { transformer, linear, lineargate };
constexpr std::array<std::string_view, 3> config_names(M2pKind) {
  return {"transformer", "linear", "lineargate"};
}

/// The memory-to-parameter network (paper section 3). H is the backbone's hidden size.
struct M2pConfig {
  M2pKind kind = M2pKind::transformer;
  int64_t num_layers = 4;
  int64_t heads = 0;
  int64_t feedforward = 0;
  bool layers_first = true;
  int64_t mean_pool_size = 1;
  int64_t couple_layers = 0;
  int64_t couple_width = 0;
  int64_t couple_heads = 0;
  int64_t couple_feedforward = 0;
  int64_t linear_hidden = 8192;
  bool linear_bias = false;

  bool operator==(const M2pConfig&) const = default;

  template <class V>
  void visit(V& v) {
    const UnusedRule of_transformer = only_with("hypernetwork.m2p.kind", {"transformer"});
    const UnusedRule of_linear = only_with("hypernetwork.m2p.kind", {"linear", "lineargate"});
    const UnusedRule of_couple_layers{{{"couple_layers", {"0"}}}, "without couple layers"};
    v("kind", kind, "network that turns memory states into LoRA numbers");
    v("num_layers", num_layers, "encoder (or linear) layers", at_least(1));
    v("heads", heads, "attention heads; 0 = H / 128, at least 1", at_least(0), of_transformer);
    v("feedforward", feedforward, "feed-forward width of an encoder layer; 0 = 2 H", at_least(0), of_transformer);
    v("layers_first", layers_first, "the first encoder layer attends across layers (else across memory tokens)",
      of_transformer);
    v("mean_pool_size", mean_pool_size, "memory tokens averaged into one after the last layer", at_least(1));
    v("couple_layers", couple_layers, "extra encoder layers that couple A and B of each projection", at_least(0),
      of_transformer);
    v("couple_width", couple_width, "token width of the couple layers; 0 = H", at_least(0), of_transformer,
      of_couple_layers);
    v("couple_heads", couple_heads, "attention heads of the couple layers; 0 = heads", at_least(0), of_transformer,
      of_couple_layers);
    v("couple_feedforward", couple_feedforward, "feed-forward width of the couple layers; 0 = 2 couple_width",
      at_least(0), of_transformer, of_couple_layers);
    v("linear_hidden", linear_hidden, "hidden width of the kinds linear and lineargate", at_least(1), of_linear);
    v("linear_bias", linear_bias, "the kinds linear and lineargate have biases", of_linear);
  }
};

/// Everything that is trained in SHINE: Meta-LoRA, memory embeddings, memory-to-parameter network.
struct HypernetworkConfig {
  int64_t lora_rank = 8;
  int64_t meta_lora_rank = 128;
  double meta_lora_scale = 0.001;
  double generated_scale = 0.001;
  LoraReshape reshape = LoraReshape::rl;
  double memory_init_std = 0.0;
  bool train_memory = true;
  WeightDtype dtype = WeightDtype::automatic;
  CudaGraph cuda_graph = CudaGraph::automatic;
  M2pConfig m2p;

  bool operator==(const HypernetworkConfig&) const = default;

  template <class V>
  void visit(V& v) {
    v("lora_rank", lora_rank, "rank r of the generated LoRA", at_least(1));
    v("meta_lora_rank", meta_lora_rank, "rank of the Meta-LoRA", at_least(1));
    v("meta_lora_scale", meta_lora_scale, "variance of the Meta-LoRA's initial A (B starts at zero)", above(0));
    v("generated_scale", generated_scale, "generated A and B are multiplied by its square root, C by itself", above(0));
    v("reshape", reshape, "how the generated vector is cut into A and B", FormerName{"hypernetwork.method", /*refused=*/true});
    v("memory_init_std", memory_init_std, "standard deviation of the initial memory embeddings; 0 = zeros",
      at_least(0));
    v("train_memory", train_memory, "train the memory embeddings; false: they keep their first values");
    v("dtype", dtype, "type of the operands of the network's matrix products; auto = that of the backbone's weights");
    v("cuda_graph", cuda_graph,
      "training: the memory-to-parameter network's two passes as CUDA graphs; auto = once a GPU has checked it; never "
      "with ops.fused=off",
      kTrainingOnly, kChangesLastBits);
    v("m2p", m2p, "memory-to-parameter network");
  }
};

}  // namespace shine
