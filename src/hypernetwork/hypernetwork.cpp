#include "shine/hypernetwork/hypernetwork.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>

#include "hypernetwork/graphed_m2p.h"
#include "kernels/fused.h"
#include "lora/lora_layout.h"
#include "lora/parameter_names.h"
#include "shine/common/error.h"

namespace shine {
namespace {

/// On a CPU the graphed form gains nothing: it exists for the tests.
bool graphs_m2p(CudaGraph key, const at::Device& device) {
  return (device.is_cuda() || key == CudaGraph::on) && use_cuda_graph(key, CudaKernel::m2p_graph);
}

void set_requires_grad(const torch::nn::Module& module, bool requires_grad) {
  for (const at::Tensor& parameter : module.parameters()) parameter.requires_grad_(requires_grad);
}

}  // namespace

Hypernetwork::Hypernetwork(Decoder& decoder, HypernetworkOptions options)
    : decoder_(decoder), options_(std::move(options)) {
  const std::int64_t hidden = decoder.config().hidden_size;
  const HypernetworkConfig& config = options_.config;
  shape_ = M2pShape::of(decoder.config().lora_spec(), config.lora_rank, hidden);
  memory_embeddings_ = declare(*this, kMemoryName, {shape_.tokens_read(config.m2p), hidden}, Decay::published_only);
  memory_embeddings_.requires_grad_(config.train_memory);
  const auto make_network = [config, shape = shape_, recompute = options_.recompute, type = decoder.dtype()] {
    return make_memory_to_params(config.m2p, shape, recompute, m2p_compute_type(config.dtype, type));
  };
  memory_to_params_ = register_module(kM2pName, make_network());
  if (graphs_m2p(config.cuda_graph, decoder.device())) {
    graphed_m2p_ = std::make_unique<GraphedM2p>(memory_to_params_, make_network);
  }
  meta_lora_ = register_module(kMetaLoraName, MetaLora(shape_.spec, config.meta_lora_rank));
  const bool extra = options_.extra_meta_lora_rank > 0;
  set_requires_grad(*meta_lora_, options_.train_meta_lora && !extra);
  if (extra) {
    extra_meta_lora_ = register_module(kExtraMetaLoraName, MetaLora(shape_.spec, options_.extra_meta_lora_rank));
  }
  if (options_.new_tokens > 0) {
    new_token_rows_ = declare(*this, kNewTokenRowsName, {options_.new_tokens, hidden}, Decay::published_only);
    new_token_rows_.requires_grad_(options_.train_new_tokens);
    decoder_.set_new_token_rows(new_token_rows_);
  }
}

Hypernetwork::~Hypernetwork() = default;

void Hypernetwork::initialise(std::uint64_t seed) {
  const at::NoGradGuard no_grad;
  allocate_parameters(*this, at::TensorOptions().dtype(at::kFloat).device(decoder_.device()));
  memory_to_params_->to(decoder_.device());
  at::Generator generator = at::detail::createCPUGenerator(seed);
  const HypernetworkConfig& config = options_.config;
  initialise_all(*memory_to_params_, generator);
  meta_lora_->initialise(config.meta_lora_scale, generator);
  if (!extra_meta_lora_.is_empty()) extra_meta_lora_->initialise(config.meta_lora_scale, generator);
  memory_embeddings_.copy_(at::zeros(memory_embeddings_.sizes(), at::TensorOptions().dtype(at::kFloat))
                               .normal_(0.0, config.memory_init_std, generator));
  if (new_token_rows_.defined()) new_token_rows_.copy_(decoder_.mean_embedding().expand_as(new_token_rows_));
}

void Hypernetwork::load(RawTensorDict tensors, const std::string& where) {
  if (new_token_rows_.defined() && !tensors.contains(kNewTokenRowsName)) {
    const at::Tensor rows = decoder_.mean_embedding().expand_as(new_token_rows_).to(at::kFloat);
    tensors.emplace(kNewTokenRowsName, to_raw(rows));
  }
  load_parameters(*this, tensors, at::TensorOptions().dtype(at::kFloat).device(decoder_.device()), where);
  memory_to_params_->to(decoder_.device());
  // Trained leaves are written to: they must not share memory with a mapped file.
  for (const at::Tensor& parameter : parameters()) set_values(parameter, parameter.detach().clone());
}

void Hypernetwork::check(RawTensorDict tensors, const std::string& where) const {
  if (new_token_rows_.defined()) tensors.emplace(kNewTokenRowsName, to_raw(new_token_rows_));
  check_parameters(*this, tensors, where);
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
  const LoraTree meta_lora =
      extra_meta_lora_.is_empty() ? meta_lora_->tree() : concat_ranks(meta_lora_->tree(), extra_meta_lora_->tree());
  std::vector<at::Tensor> states;
  decoder_.run_layers(at::cat(parts, 0), layout, &meta_lora, index, [&](std::int64_t layer, const at::Tensor& hidden) {
    const bool last = layer + 1 == shape_.spec.layers;  // which returns only the memory tokens
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
  return graphed_m2p_ ? graphed_m2p_->forward(memory_states) : memory_to_params_->forward(memory_states);
}

LoraTree Hypernetwork::slice(const at::Tensor& vector) const {
  return lora_from_vector(vector, {shape_.spec, shape_.rank, options_.config.reshape, options_.config.generated_scale});
}

at::Tensor Hypernetwork::used_values(const at::Tensor& vector) const {
  const std::int64_t used = shape_.spec.numel_per_layer(shape_.rank);
  const std::int64_t block = vector.size(1) / shape_.spec.layers;
  if (used == block) return vector;
  return vector.view({vector.size(0), shape_.spec.layers, block}).narrow(2, 0, used).reshape({vector.size(0), -1});
}

std::vector<NamedTensor> Hypernetwork::tensors() const {
  std::vector<NamedTensor> all = named_tensors(*this);
  std::ranges::stable_partition(all, [](const NamedTensor& each) { return each.name != kNewTokenRowsName; });
  return all;
}

std::vector<TrainedParameter> Hypernetwork::trained() const {
  std::vector<TrainedParameter> all;
  const auto add = [&](const torch::nn::Module& part, ParameterGroup group, const char* name) {
    for (TrainedParameter& each : trained_parameters(part, group, name)) all.push_back(std::move(each));
  };
  const auto add_own = [&](const at::Tensor& tensor, const char* name) {
    if (tensor.defined() && tensor.requires_grad()) {
      all.push_back({name, tensor, ParameterGroup::m2p, decay_of(name).value()});
    }
  };
  add_own(memory_embeddings_, kMemoryName);
  add(*memory_to_params_, ParameterGroup::m2p, kM2pName);
  add(*meta_lora_, ParameterGroup::meta_lora, kMetaLoraName);
  if (!extra_meta_lora_.is_empty()) add(*extra_meta_lora_, ParameterGroup::meta_lora, kExtraMetaLoraName);
  add_own(new_token_rows_, kNewTokenRowsName);
  return all;
}

}  // namespace shine
