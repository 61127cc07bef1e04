#include "shine/adapter/adapter.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "adapter/adapter_forms.h"
#include "common/format.h"
#include "common/hash.h"
#include "io/files/atomic_folder.h"
#include "shine/common/error.h"
#include "shine/tensor/torch_tensor.h"

namespace shine {
namespace {

constexpr auto kOnCpu = at::kFloat;

/// A (1, in, R) and B (1, R, out) of a pair, filled up with zeros to the rank R; the scale goes into B.
LoraWeights weights_of(const RawPair& pair, std::int64_t rank) {
  at::Tensor a = to_tensor(pair.a).to(kOnCpu), b = to_tensor(pair.b).to(kOnCpu);
  if (pair.layout == PairLayout::transposed) {
    a = a.t();
    b = b.t();
  }
  if (pair.scale != 1.0) b = b * pair.scale;
  LoraWeights weights;
  weights.a = at::constant_pad_nd(a, {0, rank - pair.rank}).unsqueeze(0).contiguous();
  weights.b = at::constant_pad_nd(b, {0, 0, 0, rank - pair.rank}).unsqueeze(0).contiguous();
  if (pair.c) weights.c = to_tensor(*pair.c).to(kOnCpu, /*non_blocking=*/false, /*copy=*/true).unsqueeze(0);
  return weights;
}

LoraWeights zeros(const ProjectionSpec& map, std::int64_t rank) {
  return {at::zeros({1, map.in, rank}), at::zeros({1, rank, map.out}), {}};
}

LoraTree tree_of(const RawAdapter& raw, const LoraSpec& spec) {
  std::int64_t rank = 0;
  for (const auto& layer : raw.layers) {
    for (const std::optional<RawPair>& pair : layer) rank = std::max(rank, pair ? pair->rank : 0);
  }
  LoraTree tree;
  tree.layers.resize(raw.layers.size());
  for (std::size_t layer = 0; layer < raw.layers.size(); ++layer) {
    for (const Projection projection : kProjections) {
      const std::optional<RawPair>& pair = raw.layers[layer][static_cast<std::size_t>(projection)];
      LoraWeights& weights = tree.layers[layer][projection];
      weights = pair ? weights_of(*pair, rank) : zeros(spec[projection], rank);
      // The products expect C wherever there is a bias.
      if (spec[projection].has_bias && !weights.c.defined()) weights.c = at::zeros({1, spec[projection].out});
    }
  }
  return tree;
}

bool is_zero(const at::Tensor& tensor) {
  return !tensor.defined() || !tensor.any().item<bool>();
}

/// Whether a map of this kind is adapted in any layer.
bool is_adapted(const LoraTree& tree, Projection projection) {
  return std::ranges::any_of(tree.layers, [&](const LoraLayer& layer) {
    return !(is_zero(layer[projection].a) || is_zero(layer[projection].b)) || !is_zero(layer[projection].c);
  });
}

void check_tree(const LoraTree& tree, const LoraSpec& spec) {
  SHINE_CHECK(static_cast<std::int64_t>(tree.layers.size()) == spec.layers && tree.adapters() == 1, ShapeError,
              "an adapter of ", tree.layers.size(), " layers, B_l = ", tree.adapters(), ": expected ", spec.layers,
              " layers, B_l = 1");
}

WrittenAdapter written(const Adapter& adapter, const LoraSpec& spec, const AdapterOutput& output) {
  check_tree(adapter.tree, spec);
  const bool none = std::ranges::none_of(kProjections, [&](Projection p) { return is_adapted(adapter.tree, p); });
  const bool transposed = layout_of(output.format) == PairLayout::transposed;
  WrittenAdapter result;
  result.rank = adapter.tree.rank();
  result.metadata = adapter.metadata;
  const auto raw = [&](const at::Tensor& tensor) {
    const at::Tensor matrix = tensor.detach()[0].to(at::kCPU, output.dtype);
    return to_raw(transposed && matrix.dim() == 2 ? matrix.t() : matrix);
  };
  for (std::size_t layer = 0; layer < adapter.tree.layers.size(); ++layer) {
    for (const Projection projection : kProjections) {
      if (!none && !is_adapted(adapter.tree, projection)) continue;
      const LoraWeights& weights = adapter.tree.layers[layer][projection];
      WrittenMap map{{static_cast<std::int64_t>(layer), projection}, raw(weights.a), raw(weights.b), {}};
      if (!is_zero(weights.c)) {
        if (output.format != AdapterFormat::shine) {
          throw UnsupportedError(
              str("the adapter has a term C for the bias of ", module_path(map.place), ", which this form cannot hold"),
              adapter.where, "use --format shine or merged");
        }
        map.c = raw(weights.c);
      }
      result.maps.push_back(std::move(map));
    }
  }
  return result;
}

/// Of what is in the tensors, for adapters that say nothing of themselves.
std::uint64_t content_hash(const LoraTree& tree) {
  Fnv1a hash;
  LoraTree copy = tree;
  for_each_tensor(copy, [&](const std::string& name, at::Tensor& tensor) {
    const at::Tensor values = tensor.contiguous();
    hash.add_bytes(name).add_bytes({static_cast<const char*>(values.const_data_ptr()), values.nbytes()});
  });
  return hash.value();
}

std::string common_value(const std::vector<WeightedAdapter>& adapters, std::string AdapterMetadata::*field,
                         const char* what) {
  std::string value, of;
  for (const WeightedAdapter& each : adapters) {
    const std::string& own = each.adapter.metadata.*field;
    if (own.empty()) continue;
    SHINE_CHECK(value.empty() || value == own, ConfigError, each.adapter.where, " is for another ", what, " (", own,
                ") than ", of, " (", value, ")");
    value = own;
    of = each.adapter.where;
  }
  return value;
}

}  // namespace

Adapter read_adapter(const std::filesystem::path& path, const DecoderConfig& config) {
  const RawAdapter raw = read_raw_adapter(path, config);
  return {tree_of(raw, config.lora_spec()), raw.metadata, raw.where};
}

void write_adapter(const std::filesystem::path& path, const Adapter& adapter, const DecoderConfig& config,
                   const AdapterOutput& output) {
  const WrittenAdapter files = written(adapter, config.lora_spec(), output);
  if (output.format == AdapterFormat::gguf) return write_gguf_lora(path, files, config);
  FolderWriter folder(path, FolderMark::none);
  switch (output.format) {
    case AdapterFormat::shine: write_own_form(folder.path(), files); break;
    case AdapterFormat::peft: write_peft(folder.path(), files); break;
    case AdapterFormat::mlx: write_mlx(folder.path(), files, config); break;
    case AdapterFormat::gguf:
    case AdapterFormat::merged: throw UnsupportedError("a merged model is no adapter", path.string());
  }
  folder.commit();
}

Adapter combine_adapters(const std::vector<WeightedAdapter>& adapters) {
  SHINE_CHECK(!adapters.empty(), ConfigError, "no adapters to combine");
  if (adapters.size() == 1 && adapters.front().weight == 1.0) return adapters.front().adapter;
  Adapter sum;
  Fnv1a hash;
  for (const WeightedAdapter& each : adapters) {
    SHINE_CHECK(std::isfinite(each.weight), ConfigError, each.adapter.where, ": the weight is not finite");
    LoraTree scaled = each.adapter.tree;
    for (LoraLayer& layer : scaled.layers) {
      for (LoraWeights& weights : layer.projections) {
        weights.b = weights.b * each.weight;
        if (weights.c.defined()) weights.c = weights.c * each.weight;
      }
    }
    const std::string& identity = each.adapter.metadata.identity;
    identity.empty() ? hash.add(content_hash(each.adapter.tree)) : hash.add_bytes(identity);
    hash.add(each.weight);
    sum.tree = sum.tree.layers.empty() ? std::move(scaled) : concat_ranks(sum.tree, scaled);
    sum.where += str(sum.where.empty() ? "" : " + ", each.weight, " x ", each.adapter.where);
  }
  sum.metadata.identity = hex_digits(hash.value());
  sum.metadata.backbone = common_value(adapters, &AdapterMetadata::backbone, "backbone");
  sum.metadata.base_model = adapters.front().adapter.metadata.base_model;
  sum.metadata.tool = adapters.front().adapter.metadata.tool;
  return sum;
}

}  // namespace shine
