#include "shine/models/shine/hypernetwork.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include "recorded_m2p.h"
#include "shine/common/error.h"
#include "shine/ops/fused.h"

namespace shine {
namespace {

/// Fields without values, so that parameters can be declared and loaded into them.
LoraTree empty_tree(const LoraSpec& spec) {
  LoraTree tree;
  tree.layers.resize(static_cast<std::size_t>(spec.layers));
  return tree;
}

at::ScalarType compute_type(WeightDtype dtype, at::ScalarType backbone) {
  switch (dtype) {
    case WeightDtype::float32: return at::kFloat;
    case WeightDtype::bfloat16: return at::kBFloat16;
    case WeightDtype::automatic: break;
  }
  return backbone == at::kBFloat16 ? at::kBFloat16 : at::kFloat;
}

/// On a CPU the recorded form gains nothing: it is there to be tested.
bool records_m2p(CudaGraph key, const at::Device& device) {
  return (device.is_cuda() || key == CudaGraph::on) && use_cuda_graph(key, CudaKernel::m2p_graph);
}

void declare_meta_lora(ParameterList& list, const std::string& prefix, LoraTree& tree, const LoraSpec& spec,
                       std::int64_t rank) {
  for (std::size_t layer = 0; layer < tree.layers.size(); ++layer) {
    for (const Projection p : kProjections) {
      const std::string name = str(prefix, layer, ".", dotted_name(p), ".");
      LoraWeights& weights = tree.layers[layer][p];
      list.add(name + "A", {1, spec[p].in, rank}, weights.a);
      list.add(name + "B", {1, rank, spec[p].out}, weights.b);
      if (spec[p].has_bias) list.add(name + "C", {1, spec[p].out}, weights.c);
    }
  }
}

void copy_tree(LoraTree& to, LoraTree from) {
  auto source = from.layers.begin();
  for (LoraLayer& layer : to.layers) {
    for (const Projection p : kProjections) {
      layer[p].a.copy_((*source)[p].a);
      layer[p].b.copy_((*source)[p].b);
      if (layer[p].c.defined()) layer[p].c.copy_((*source)[p].c);
    }
    ++source;
  }
}

}  // namespace

Hypernetwork::Hypernetwork(Decoder& decoder, HypernetworkOptions options)
    : decoder_(decoder), options_(std::move(options)) {
  const std::int64_t hidden = decoder.config().hidden_size;
  shape_.spec = decoder.config().lora_spec();
  shape_.rank = options_.config.lora_rank;
  shape_.hidden_size = hidden;
  shape_.memory_tokens = shape_.spec.memory_tokens(shape_.rank, hidden);
  const auto make_network = [&] {
    return make_memory_to_params(options_.config.m2p, shape_, options_.recompute,
                                 compute_type(options_.config.dtype, decoder.options().dtype));
  };
  memory_to_params_ = make_network();
  if (records_m2p(options_.config.cuda_graph, decoder.options().device)) {
    memory_to_params_ = std::make_unique<RecordedM2p>(std::move(memory_to_params_), make_network());
  }
  meta_lora_ = empty_tree(shape_.spec);
  if (options_.extra_meta_lora_rank > 0) extra_meta_lora_ = empty_tree(shape_.spec);
  declare_parameters();
  parameters_.allocate(at::TensorOptions().dtype(at::kFloat).device(decoder.options().device));
  finish_loading();
}

void Hypernetwork::declare_parameters() {
  const std::int64_t hidden = shape_.hidden_size;
  parameters_.add("mem_tokens", {shape_.memory_tokens * options_.config.m2p.mean_pool_size, hidden},
                  memory_embeddings_);
  for (const ParameterSlot& slot : memory_to_params_->parameters().slots()) {
    parameters_.add("metanetwork." + slot.name, slot.shape, *slot.tensor);
  }
  declare_meta_lora(parameters_, "metalora.", meta_lora_, shape_.spec, options_.config.meta_lora_rank);
  declare_meta_lora(parameters_, "extra_metalora.", extra_meta_lora_, shape_.spec, options_.extra_meta_lora_rank);
  if (options_.new_tokens > 0) parameters_.add("new_token_rows", {options_.new_tokens, hidden}, new_token_rows_);
}

bool Hypernetwork::is_trained(const std::string& name) const {
  if (name.starts_with("metalora.")) return options_.train_meta_lora && options_.extra_meta_lora_rank == 0;
  if (name == "new_token_rows") return options_.train_new_tokens;
  return true;
}

void Hypernetwork::finish_loading() {
  for (const ParameterSlot& slot : parameters_.slots()) slot.tensor->requires_grad_(is_trained(slot.name));
  if (options_.new_tokens > 0) decoder_.set_new_token_rows(new_token_rows_);
}

void Hypernetwork::initialise(std::uint64_t seed) {
  const at::NoGradGuard no_grad;
  at::Generator generator = at::detail::createCPUGenerator(seed);
  const HypernetworkConfig& config = options_.config;
  memory_to_params_->initialise(generator);
  copy_tree(meta_lora_, make_meta_lora(shape_.spec, config.meta_lora_rank, config.meta_lora_scale, generator));
  if (options_.extra_meta_lora_rank > 0) {
    copy_tree(extra_meta_lora_,
              make_meta_lora(shape_.spec, options_.extra_meta_lora_rank, config.meta_lora_scale, generator));
  }
  memory_embeddings_.copy_(at::zeros(memory_embeddings_.sizes(), at::TensorOptions().dtype(at::kFloat))
                               .normal_(0.0, config.memory_init_std, generator));
  if (options_.new_tokens > 0) new_token_rows_.copy_(decoder_.mean_embedding().expand_as(new_token_rows_));
}

void Hypernetwork::load(RawTensorDict tensors, const std::string& where) {
  if (options_.new_tokens > 0 && !tensors.contains("new_token_rows")) {
    const at::Tensor rows = decoder_.mean_embedding().expand_as(new_token_rows_).to(at::kFloat);
    tensors.emplace("new_token_rows", to_raw(rows));
  }
  const auto options = at::TensorOptions().dtype(at::kFloat).device(decoder_.options().device);
  load_parameters(parameters_, tensors, options, where);
  // Trained leaves are written to: they must not lie in a mapped file.
  for (const ParameterSlot& slot : parameters_.slots()) *slot.tensor = slot.tensor->clone();
  finish_loading();
}

at::Tensor Hypernetwork::extract_memory(const TokenRows& contexts) const {
  const std::int64_t rows = contexts.layout.rows(), memory = memory_embeddings_.size(0);
  const at::Tensor embedded = decoder_.embed(contexts);  // (N, H)
  const at::Tensor memory_rows = memory_embeddings_.to(embedded.scalar_type());
  std::vector<at::Tensor> parts;
  std::vector<std::int64_t> memory_index;
  RowLayout layout;
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int64_t length = contexts.layout.length(row);
    parts.push_back(embedded.narrow(0, contexts.layout.starts[static_cast<std::size_t>(row)], length));
    parts.push_back(memory_rows);
    layout.push(length + memory);
    for (std::int64_t m = memory; m > 0; --m) memory_index.push_back(layout.tokens() - m);
  }
  const at::Tensor index = index_tensor(memory_index, embedded.device());
  const LoraTree merged = options_.extra_meta_lora_rank > 0 ? concat_ranks(meta_lora_, extra_meta_lora_) : meta_lora_;
  std::vector<at::Tensor> states;
  decoder_.run_layers_at(at::cat(parts, 0), layout, &merged, index, [&](std::int64_t layer, const at::Tensor& hidden) {
    const bool last = layer + 1 == shape_.spec.layers;  // gives the memory tokens alone
    states.push_back((last ? hidden : hidden.index_select(0, index)).view({rows, memory, shape_.hidden_size}));
  });
  return at::stack(states, 1).to(at::kFloat);  // (B, L, M * pool, H)
}

GeneratedLora Hypernetwork::generate(const TokenRows& contexts) const {
  GeneratedLora generated;
  generated.memory_states = extract_memory(contexts);
  generated.vector = generate_vector(generated.memory_states);
  generated.tree = slice(generated.vector);
  return generated;
}

at::Tensor Hypernetwork::generate_vector(const at::Tensor& memory_states) const {
  return memory_to_params_->forward(memory_states);
}

LoraTree Hypernetwork::slice(const at::Tensor& vector) const {
  return lora_from_vector(vector, {shape_.spec, shape_.rank, options_.config.method, options_.config.generated_scale});
}

at::Tensor Hypernetwork::used_values(const at::Tensor& vector) const {
  const std::int64_t used = shape_.spec.numel_per_layer(shape_.rank);
  const std::int64_t block = vector.size(1) / shape_.spec.layers;
  if (used == block) return vector;
  return vector.view({vector.size(0), shape_.spec.layers, block}).narrow(2, 0, used).reshape({vector.size(0), -1});
}

std::vector<NamedTensor> Hypernetwork::tensors() const {
  std::vector<NamedTensor> all;
  for (const ParameterSlot& slot : parameters_.slots()) all.push_back({slot.name, *slot.tensor});
  return all;
}

std::vector<NamedTensor> Hypernetwork::trained() const {
  std::vector<NamedTensor> some;
  for (const ParameterSlot& slot : parameters_.slots()) {
    if (is_trained(slot.name)) some.push_back({slot.name, *slot.tensor});
  }
  return some;
}

}  // namespace shine
