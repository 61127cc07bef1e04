#include "shine/adapter/adapter.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "adapter/adapter_names.h"
#include "adapter/raw_adapter.h"
#include "common/format.h"
#include "common/hash.h"
#include "shine/common/error.h"
#include "shine/common/version.h"
#include "shine/tensor/torch_tensor.h"

namespace shine {
namespace {

/// (1, rows, columns) from the upper left corner, zero elsewhere.
at::Tensor filled_up(const at::Tensor& part, std::int64_t rows, std::int64_t columns) {
  at::Tensor whole = at::zeros({1, rows, columns}, at::kFloat);
  whole[0].slice(0, 0, part.size(0)).slice(1, 0, part.size(1)).copy_(part);
  return whole;
}

LoraWeights weights_of(const std::optional<RawPair>& pair, const ProjectionSpec& sizes, std::int64_t rank) {
  LoraWeights weights;
  if (sizes.has_bias) weights.c = at::zeros({1, sizes.out}, at::kFloat);
  if (!pair) {
    weights.a = at::zeros({1, sizes.in, rank}, at::kFloat);
    weights.b = at::zeros({1, rank, sizes.out}, at::kFloat);
    return weights;
  }
  const bool transposed = pair->layout == PairLayout::transposed;
  const at::Tensor a = to_tensor(pair->a), b = to_tensor(pair->b);
  weights.a = filled_up(transposed ? a.t() : a, sizes.in, rank);
  weights.b = filled_up(transposed ? b.t() : b, rank, sizes.out);
  if (pair->scale != 1.0) weights.b.mul_(pair->scale);
  if (pair->c) weights.c[0].copy_(to_tensor(*pair->c));
  return weights;
}

std::int64_t largest_rank(const RawPairs& layers) {
  std::int64_t rank = 0;
  for (const auto& layer : layers) {
    for (const auto& pair : layer) rank = std::max(rank, pair ? pair->rank : 0);
  }
  return rank;
}

bool is_zero(const at::Tensor& tensor) {
  return !tensor.defined() || tensor.count_nonzero().item<std::int64_t>() == 0;
}

bool is_zero(const LoraWeights& weights) {
  return (is_zero(weights.a) || is_zero(weights.b)) && is_zero(weights.c);
}

/// Projections that some layer adapts; all where none does, since no format holds an adapter without tensors.
std::vector<Projection> adapted_projections(const LoraTree& tree) {
  std::vector<Projection> adapted;
  for (const Projection p : kProjections) {
    const auto adapts = [p](const LoraLayer& layer) { return !is_zero(layer[p]); };
    if (std::ranges::any_of(tree.layers, adapts)) adapted.push_back(p);
  }
  return adapted.empty() ? std::vector<Projection>(kProjections.begin(), kProjections.end()) : adapted;
}

RawTensor raw_of(const at::Tensor& values, at::ScalarType dtype, const std::string& name) {
  const at::Tensor converted = values.to(at::kCPU).to(dtype).contiguous();
  if (!at::isfinite(converted).all().item<bool>()) {
    throw UnsupportedError(str("a number of ", name, " is not finite, or too large for ", at::toString(dtype)), {},
                           "write it as float32");
  }
  return to_raw(converted);
}

RawPair pair_of(const LoraWeights& weights, const AdapterOutput& output, const std::string& name) {
  RawPair pair{.layout = layout_of(output.format), .rank = weights.a.size(2)};
  const bool transposed = pair.layout == PairLayout::transposed;
  pair.a = raw_of(transposed ? weights.a[0].t() : weights.a[0], output.dtype, name);
  pair.b = raw_of(transposed ? weights.b[0].t() : weights.b[0], output.dtype, name);
  const bool keeps_c = output.format == AdapterFormat::shine ? weights.c.defined() : !is_zero(weights.c);
  if (keeps_c) pair.c = raw_of(weights.c[0], output.dtype, name);
  return pair;
}

void check_tree(const LoraTree& tree, const DecoderConfig& config) {
  const LoraSpec spec = config.lora_spec();
  const std::int64_t rank = tree.rank();
  SHINE_CHECK(static_cast<std::int64_t>(tree.layers.size()) == spec.layers && spec.layers > 0, ShapeError,
              "an adapter of ", tree.layers.size(), " layers for a decoder of ", spec.layers);
  for (const LoraLayer& layer : tree.layers) {
    for (const Projection p : kProjections) {
      const LoraWeights& weights = layer[p];
      SHINE_CHECK(weights.a.sizes() == at::IntArrayRef({1, spec[p].in, rank}) &&
                      weights.b.sizes() == at::IntArrayRef({1, rank, spec[p].out}) &&
                      (!weights.c.defined() || weights.c.sizes() == at::IntArrayRef({1, spec[p].out})),
                  ShapeError, "an adapter with A ", weights.a.sizes(), " and B ", weights.b.sizes(), " for ",
                  dotted_name(p), " (", spec[p].in, ", ", spec[p].out, "), expected one LoRA of rank ", rank);
    }
  }
}

std::string own_name() {
  return "shine " + version();
}

std::vector<std::int64_t> sizes_without_rank(const LoraTree& tree) {
  std::vector<std::int64_t> sizes;
  for (const LoraLayer& layer : tree.layers) {
    for (const LoraWeights& weights : layer.projections) {
      sizes.insert(sizes.end(), {weights.a.size(0), weights.a.size(1), weights.b.size(2)});
    }
  }
  return sizes;
}

void check_combination(const std::vector<WeightedAdapter>& adapters) {
  SHINE_CHECK(!adapters.empty(), ConfigError, "no adapter to combine");
  const Adapter& first = adapters.front().adapter;
  for (const auto& [adapter, weight] : adapters) {
    SHINE_CHECK(std::isfinite(weight), ConfigError, adapter.where, ": the weight ", weight, " is not finite");
    SHINE_CHECK(sizes_without_rank(adapter.tree) == sizes_without_rank(first.tree), ShapeError, adapter.where,
                ": its sizes are not those of ", first.where, ": adapters for one backbone are needed");
  }
}

/// The metadata of all: of the backbones that are known there may be one.
AdapterMetadata common_metadata(const std::vector<WeightedAdapter>& adapters) {
  AdapterMetadata common = adapters.front().adapter.metadata;
  for (const auto& [adapter, unused] : adapters) {
    const AdapterMetadata& own = adapter.metadata;
    if (common.backbone.empty()) common.backbone = own.backbone;
    if (common.base_model.empty()) common.base_model = own.base_model;
    SHINE_CHECK(own.backbone.empty() || own.backbone == common.backbone, ConfigError, adapter.where,
                ": made for the backbone ", own.backbone, ", others here for ", common.backbone,
                ": adapters for one backbone are needed");
  }
  return common;
}

void add_content(Fnv1a& hash, const Adapter& adapter) {
  hash.add_bytes(adapter.metadata.identity);
  if (!adapter.metadata.identity.empty()) return;
  LoraTree tree = adapter.tree;
  for_each_tensor(tree, [&](const std::string& name, at::Tensor& tensor) { add_tensor(hash, name, to_raw(tensor)); });
}

LoraWeights combine(const std::vector<WeightedAdapter>& adapters, std::size_t layer, Projection p) {
  std::vector<at::Tensor> a, b;
  at::Tensor c;
  for (const auto& [adapter, weight] : adapters) {
    const LoraWeights& own = adapter.tree.layers[layer][p];
    a.push_back(own.a);
    b.push_back(own.b * weight);
    if (own.c.defined()) c = c.defined() ? c + own.c * weight : own.c * weight;
  }
  return {at::cat(a, 2), at::cat(b, 1), c};  // (1, in, sum of r), (1, sum of r, out), (1, out)
}

}  // namespace

Adapter read_adapter(const std::filesystem::path& path, const DecoderConfig& config) {
  const at::NoGradGuard no_grad;
  const RawAdapter raw = read_raw_adapter(path, config);
  const LoraSpec spec = config.lora_spec();
  const std::int64_t rank = largest_rank(raw.layers);
  Adapter adapter{{}, raw.metadata, raw.where};
  adapter.tree.layers.resize(raw.layers.size());
  for (std::size_t layer = 0; layer < raw.layers.size(); ++layer) {
    for (const Projection p : kProjections) {
      const auto& pair = raw.layers[layer][static_cast<std::size_t>(p)];
      const LoraWeights weights = weights_of(pair, spec[p], rank);
      SHINE_CHECK(!pair || pair->scale == 1.0 || at::isfinite(weights.b).all().item<bool>(), FormatError, raw.where,
                  ": ", module_name(layer, p), " with its scale ", pair->scale, " is not finite");
      adapter.tree.layers[layer][p] = weights;
    }
  }
  return adapter;
}

void write_adapter(const std::filesystem::path& path, const Adapter& adapter, const DecoderConfig& config,
                   const AdapterOutput& output) {
  const at::NoGradGuard no_grad;
  const bool known = output.dtype == at::kFloat || output.dtype == at::kBFloat16 || output.dtype == at::kHalf;
  SHINE_CHECK(known, UnsupportedError, "an adapter of ", at::toString(output.dtype),
              " numbers: float32, bfloat16 and float16 are supported");
  check_tree(adapter.tree, config);
  RawAdapter raw{.format = output.format, .metadata = adapter.metadata, .where = path.string()};
  if (raw.metadata.tool.empty()) raw.metadata.tool = own_name();
  raw.layers.resize(adapter.tree.layers.size());
  for (const Projection p : adapted_projections(adapter.tree)) {
    for (std::size_t layer = 0; layer < raw.layers.size(); ++layer) {
      raw.layers[layer][static_cast<std::size_t>(p)] =
          pair_of(adapter.tree.layers[layer][p], output, module_name(layer, p));
    }
  }
  write_raw_adapter(path, raw, config);
}

Adapter combine_adapters(const std::vector<WeightedAdapter>& adapters) {
  const at::NoGradGuard no_grad;
  check_combination(adapters);
  Adapter combined{{}, common_metadata(adapters), {}};
  if (adapters.size() == 1 && adapters.front().weight == 1.0) return adapters.front().adapter;
  Fnv1a hash;
  std::vector<std::string> names;
  for (const auto& [adapter, weight] : adapters) {
    add_content(hash, adapter);
    hash.add(weight);
    names.push_back(adapter.where);
  }
  combined.metadata.tool = own_name();
  combined.metadata.identity = hex_digits(hash.value());
  combined.where = join(names, " + ");
  combined.tree.layers.resize(adapters.front().adapter.tree.layers.size());
  for (std::size_t layer = 0; layer < combined.tree.layers.size(); ++layer) {
    for (const Projection p : kProjections) combined.tree.layers[layer][p] = combine(adapters, layer, p);
  }
  return combined;
}

}  // namespace shine
