#pragma once

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "shine/hypernetwork/hypernetwork.h"
#include "support/relative_error.h"

namespace shine::test {

inline at::Tensor random_tensor(std::vector<std::int64_t> shape, std::uint64_t seed) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  return at::zeros(shape, at::TensorOptions().dtype(at::kFloat)).normal_(0.0, 1.0, generator);
}

/// A model small enough to test by the hundred. One layer's LoRA of rank 2 has 464 numbers: 29 memory tokens.
inline DecoderConfig tiny_config() {
  DecoderConfig config;
  config.model_type = "qwen3";
  config.vocab_size = 40;
  config.hidden_size = 16;
  config.intermediate_size = 24;
  config.layers = 2;
  config.heads = 2;
  config.kv_heads = 1;
  config.head_dim = 8;
  config.max_positions = 512;
  config.tied_embeddings = true;
  config.qk_norm = true;
  return config;
}

/// Nothing tied, biases everywhere, no q/k norm.
inline DecoderConfig tiny_biased_config() {
  DecoderConfig config = tiny_config();
  config.model_type = "llama";
  config.qk_norm = false;
  config.tied_embeddings = false;
  config.qkv_bias = config.o_bias = config.mlp_bias = true;
  return config;
}

/// Random weights, biases and norms too.
inline std::unique_ptr<Decoder> tiny_decoder(const DecoderConfig& config = tiny_config(),
                                             const DecoderOptions& options = {}) {
  auto decoder = std::make_unique<Decoder>(config, options);
  initialise_decoder(*decoder, /*gain=*/1.0, /*seed=*/1);
  std::uint64_t seed = 100;
  for (const at::Tensor& parameter : decoder->parameters()) {
    if (parameter.dim() == 1)
      parameter.add_(random_tensor(parameter.sizes().vec(), ++seed).to(parameter.options()), 0.1);
  }
  return decoder;
}

/// Random A, B and C of rank 2 for every projection.
inline LoraTree random_tree(const LoraSpec& spec, std::int64_t adapters, std::uint64_t seed) {
  LoraTree tree;
  tree.layers.resize(static_cast<std::size_t>(spec.layers));
  for (LoraLayer& layer : tree.layers) {
    for (const Projection p : kProjections) {
      layer[p].a = random_tensor({adapters, spec[p].in, 2}, ++seed) * 0.3;
      layer[p].b = random_tensor({adapters, 2, spec[p].out}, ++seed) * 0.3;
      if (spec[p].has_bias) layer[p].c = random_tensor({adapters, spec[p].out}, ++seed) * 0.3;
    }
  }
  return tree;
}

inline LoraTree one_adapter(LoraTree tree, std::int64_t index) {
  for_each_tensor(tree, [&](const std::string&, at::Tensor& tensor) { tensor = tensor.narrow(0, index, 1); });
  return tree;
}

inline HypernetworkOptions tiny_options() {
  HypernetworkOptions options;
  options.config.lora_rank = 2;
  options.config.meta_lora_rank = 3;
  options.config.generated_scale = 0.05;
  options.config.memory_init_std = 0.5;
  options.config.m2p.num_layers = 2;
  options.config.m2p.heads = 2;
  options.config.m2p.feedforward = 20;
  return options;
}

/// Random values in every tensor, so that no gradient is zero.
inline std::unique_ptr<Hypernetwork> tiny_hypernetwork(Decoder& decoder,
                                                       const HypernetworkOptions& options = tiny_options()) {
  auto hypernetwork = std::make_unique<Hypernetwork>(decoder, options);
  hypernetwork->initialise(/*seed=*/5);
  const at::NoGradGuard no_grad;
  std::uint64_t seed = 200;
  for (const NamedTensor& named : hypernetwork->tensors()) {
    named.tensor.add_(random_tensor(named.tensor.sizes().vec(), ++seed).to(named.tensor.options()), 0.2);
  }
  return hypernetwork;
}

inline std::vector<std::int64_t> random_ids(std::size_t count, std::uint64_t seed, std::int64_t vocabulary = 40) {
  std::mt19937_64 random(seed);
  std::vector<std::int64_t> ids(count);
  for (std::int64_t& id : ids) id = static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(vocabulary));
  return ids;
}

/// Rows of different lengths.
inline std::vector<std::vector<std::int64_t>> random_rows(const std::vector<std::size_t>& lengths, std::uint64_t seed) {
  std::vector<std::vector<std::int64_t>> rows;
  for (const std::size_t length : lengths) rows.push_back(random_ids(length, ++seed));
  return rows;
}

using TensorMap = std::map<std::string, at::Tensor>;

/// Gradients of the trained tensors by name, zeros where there is none; they are cleared.
template <class Named>
TensorMap take_gradients(const std::vector<Named>& trained) {
  TensorMap gradients;
  for (const Named& named : trained) {
    const at::Tensor gradient = named.tensor.grad();
    gradients.emplace(named.name, gradient.defined() ? gradient.clone() : at::zeros_like(named.tensor).detach());
    at::Tensor(named.tensor).mutable_grad() = at::Tensor();
  }
  return gradients;
}

/// Query and value biases alone: the gradient of the key bias is zero in exact arithmetic.
inline at::Tensor without_key_bias(const std::string& name, const at::Tensor& tensor) {
  if (!name.ends_with("in_proj_bias")) return tensor;
  const auto parts = tensor.chunk(3);
  return at::cat({parts[0], parts[2]});
}

}  // namespace shine::test
