#include "shine/hypernetwork/memory_to_params.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

#include "hypernetwork/m2p_linear.h"
#include "hypernetwork/m2p_transformer.h"
#include "lora/parameter_names.h"
#include "shine/common/error.h"

namespace shine {

M2pShape M2pShape::of(const LoraSpec& spec, std::int64_t rank, std::int64_t hidden_size) {
  return {spec, rank, hidden_size, spec.memory_tokens(rank, hidden_size)};
}

void MemoryToParams::declare_positions(const M2pConfig& config, const M2pShape& shape) {
  layer_pe_ = declare("layer_pe", {shape.spec.layers, shape.hidden_size}, Decay::published_only);
  token_pe_ = declare("token_pe", {shape.tokens_read(config), shape.hidden_size}, Decay::published_only);
}

void MemoryToParams::initialise_positions() {
  const at::NoGradGuard no_grad;
  layer_pe_.zero_();
  token_pe_.zero_();
}

at::Tensor MemoryToParams::add_positions(const at::Tensor& memory_states) const {
  const auto expected = std::vector<std::int64_t>{layer_pe_.size(0), token_pe_.size(0), token_pe_.size(1)};
  SHINE_CHECK(memory_states.dim() == 4 && memory_states.sizes().slice(1) == at::IntArrayRef(expected), ShapeError,
              "memory states of shape ", memory_states.sizes(), ": expected (B, ", join(expected, ", "), ")");
  return memory_states + layer_pe_.unsqueeze(1) + token_pe_;
}

at::Tensor MemoryToParams::mean_pool(const at::Tensor& x, std::int64_t pool) {
  if (pool == 1) return x;
  return x.reshape({x.size(0), x.size(1), pool, x.size(2) / pool, x.size(3)}).mean(2);
}

at::ScalarType m2p_compute_type(WeightDtype dtype, at::ScalarType backbone) {
  const bool narrow = dtype == WeightDtype::automatic ? backbone == at::kBFloat16 : dtype == WeightDtype::bfloat16;
  return narrow ? at::kBFloat16 : at::kFloat;
}

void initialise_all(MemoryToParams& network, at::Generator& generator) {
  const at::NoGradGuard no_grad;
  for (at::Tensor& parameter : network.parameters()) parameter.fill_(std::numeric_limits<double>::quiet_NaN());
  network.initialise(generator);
  for (const NamedTensor& named : named_tensors(network)) {
    SHINE_CHECK(!named.tensor.isnan().any().item<bool>(), Error, prefix_of(kM2pName), named.name,
                ": has no first value (give it one in the network's initialise)");
  }
}

M2pConfig resolve_m2p_config(M2pConfig config, const M2pShape& shape) {
  const std::int64_t width = shape.hidden_size;
  const auto or_default = [](std::int64_t value, std::int64_t fallback) { return value == 0 ? fallback : value; };
  config.heads = or_default(config.heads, std::max<std::int64_t>(1, width / 128));
  config.feedforward = or_default(config.feedforward, 2 * width);
  config.couple_width = or_default(config.couple_width, width);
  config.couple_heads = or_default(config.couple_heads, config.heads);
  config.couple_feedforward = or_default(config.couple_feedforward, 2 * config.couple_width);
  if (config.kind != M2pKind::transformer) return config;

  std::vector<std::string> faults;
  const auto must_divide = [&faults](const char* key, std::int64_t part, const std::string& of, std::int64_t whole) {
    if (whole % part != 0)
      faults.push_back(str("hypernetwork.m2p.", key, " ", part, " does not divide ", of, " ", whole));
  };
  must_divide("heads", config.heads, "the hidden size", width);
  if (config.couple_layers > 0) {
    must_divide("couple_heads", config.couple_heads, "couple_width", config.couple_width);
    must_divide("couple_width", config.couple_width, "the hidden size", width);
    for (const Projection p : kProjections) {
      must_divide("couple_width", config.couple_width, str("A of ", name_of(p)), shape.spec[p].in * shape.rank);
      must_divide("couple_width", config.couple_width, str("B of ", name_of(p)), shape.spec[p].out * shape.rank);
      if (shape.spec[p].has_bias) faults.push_back(str("couple layers do not know the bias of ", name_of(p)));
    }
  }
  if (!faults.empty()) throw ConfigError(join(faults, "; "));
  return config;
}

std::shared_ptr<MemoryToParams> make_memory_to_params(const M2pConfig& config, const M2pShape& shape, bool recompute,
                                                      at::ScalarType compute) {
  const M2pConfig resolved = resolve_m2p_config(config, shape);
  switch (resolved.kind) {
    case M2pKind::transformer: return std::make_shared<M2pTransformer>(resolved, shape, recompute, compute);
    case M2pKind::linear:
    case M2pKind::lineargate: return std::make_shared<M2pLinear>(resolved, shape, compute);
  }
  throw ConfigError("unknown hypernetwork.m2p.kind");
}

}  // namespace shine
