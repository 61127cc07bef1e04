#include "checkpoint/published_layout.h"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "shine/common/error.h"

namespace shine {
namespace {

constexpr std::array kAttentionProjections{"q", "k", "v", "o"};
constexpr std::array kMlpProjections{"gate", "up", "down"};

/// Parameters of a torch.nn.TransformerEncoderLayer in the order of its state dict.
constexpr std::array kEncoderParameters{"self_attn.in_proj_weight",
                                        "self_attn.in_proj_bias",
                                        "self_attn.out_proj.weight",
                                        "self_attn.out_proj.bias",
                                        "linear1.weight",
                                        "linear1.bias",
                                        "linear2.weight",
                                        "linear2.bias",
                                        "norm1.weight",
                                        "norm1.bias",
                                        "norm2.weight",
                                        "norm2.bias"};

/// Its modules in the order of their registration.
constexpr std::array kEncoderModules{"self_attn", "self_attn.out_proj", "linear1", "dropout", "linear2", "norm1",
                                     "norm2",     "dropout1",           "dropout2"};

PickleValue tensor_value(RawTensor tensor, PickleType type, bool requires_grad) {
  return {std::move(tensor), type, requires_grad};
}

/// Hands out tensors by name, each once.
class Supply {
 public:
  Supply(RawTensorDict tensors, const std::string& where) : tensors_(std::move(tensors)), where_(where) {}

  bool contains(const std::string& name) const { return tensors_.contains(name); }

  bool contains_below(const std::string& prefix) const {
    const auto first = tensors_.lower_bound(prefix + '.');
    return first != tensors_.end() && first->first.starts_with(prefix + '.');
  }

  RawTensor take(const std::string& name) {
    auto found = tensors_.extract(name);
    if (found.empty()) throw FormatError(str("tensor ", name, " is missing"), where_);
    return std::move(found.mapped());
  }

  void require_empty() const {
    if (tensors_.empty()) return;
    constexpr std::size_t shown = 5;
    std::vector<std::string> names;
    for (const auto& [name, tensor] : tensors_) {
      if (names.size() < shown) names.push_back(name);
    }
    throw FormatError(str(tensors_.size(), " tensors have no place in the published layout: ", join(names, ", "),
                          tensors_.size() > shown ? ", .." : ""),
                      where_);
  }

 private:
  RawTensorDict tensors_;
  const std::string& where_;
};

/// The Meta-LoRA: layer -> attention and mlp -> projection -> A, B, C (None where the projection has no bias).
PickleValue meta_lora_value(Supply& supply, const std::string& name, bool requires_grad) {
  const auto group_value = [&](const std::string& group, const auto& projections) {
    PickleDict by_projection;
    for (const char* projection : projections) {
      const std::string prefix = str(group, ".", projection, ".");
      PickleDict matrices;
      for (const char* matrix : {"A", "B", "C"}) {
        const bool absent = *matrix == 'C' && !supply.contains(prefix + matrix);
        matrices.push_back(
            {matrix,
             absent ? PickleValue{} : tensor_value(supply.take(prefix + matrix), PickleType::usual, requires_grad)});
      }
      by_projection.push_back({projection, {std::move(matrices)}});
    }
    return PickleValue{std::move(by_projection)};
  };
  PickleDict layers;
  for (std::int64_t i = 0; i == 0 || supply.contains_below(str(name, ".", i)); ++i) {
    const std::string layer = str(name, ".", i);
    PickleDict groups;
    groups.push_back({"attention", group_value(layer + ".attention", kAttentionProjections)});
    groups.push_back({"mlp", group_value(layer + ".mlp", kMlpProjections)});
    layers.push_back({i, {std::move(groups)}});
  }
  return {std::move(layers)};
}

/// The state dict of the M2P and its `_metadata`, the version of every module.
class StateDict {
 public:
  explicit StateDict(Supply& supply) : supply_(supply) { add_module(""); }

  void add_parameter(const std::string& name) {
    parameters_.push_back({name, tensor_value(supply_.take(prefix_of(kM2pName) + name), PickleType::usual, false)});
  }

  void add_optional_parameter(const std::string& name) {
    if (supply_.contains(prefix_of(kM2pName) + name)) add_parameter(name);
  }

  void add_module(const std::string& name) { modules_.push_back({name, {PickleDict{{"version", {std::int64_t{1}}}}}}); }

  /// A torch.nn.ModuleList; `add_layer` is called with the name of each of its modules.
  template <class AddLayer>
  void add_list(const std::string& name, AddLayer&& add_layer) {
    add_module(name);
    for (std::int64_t i = 0; supply_.contains_below(str(kM2pName, ".", name, ".", i)); ++i) {
      add_module(str(name, ".", i));
      add_layer(str(name, ".", i));
    }
  }

  PickleValue take() {
    const PickleValue metadata{std::move(modules_), PickleType::ordered_dict};
    const PickleDict attributes{{"_metadata", metadata}};
    return {std::move(parameters_), PickleType::ordered_dict, false, std::make_shared<const PickleDict>(attributes)};
  }

 private:
  Supply& supply_;
  PickleDict parameters_, modules_;
};

PickleValue memory_to_params_value(Supply& supply) {
  StateDict state(supply);
  state.add_parameter("layer_pe");
  state.add_parameter("token_pe");
  if (supply.contains_below(prefix_of(kM2pName) + "linear_layers")) {
    state.add_list("linear_layers", [&](const std::string& layer) {
      state.add_parameter(layer + ".weight");
      state.add_optional_parameter(layer + ".bias");
    });
    return state.take();
  }
  for (const char* list : {"transformer_layers", "couple_layers"}) {
    state.add_list(list, [&](const std::string& layer) {
      for (const char* module : kEncoderModules) state.add_module(str(layer, ".", module));
      for (const char* parameter : kEncoderParameters) state.add_parameter(str(layer, ".", parameter));
    });
  }
  return state.take();
}

}  // namespace

std::vector<PublishedFile> published_files(RawTensorDict weights, const std::string& where) {
  Supply supply(std::move(weights), where);
  const bool has_extra = supply.contains_below(kExtraMetaLoraName);
  std::vector<PublishedFile> files;
  files.push_back({kMemoryFile.file, tensor_value(supply.take(kMemoryName), PickleType::parameter, true)});
  files.push_back({kM2pFile.file, memory_to_params_value(supply)});
  files.push_back({kMetaLoraFile.file, meta_lora_value(supply, kMetaLoraName, !has_extra)});
  if (has_extra) {
    files.push_back({kExtraMetaLoraFile.file, meta_lora_value(supply, kExtraMetaLoraName, true)});
  }
  if (supply.contains(kNewTokenRowsName)) {
    files.push_back(
        {kNewTokenRowsFile.file, tensor_value(supply.take(kNewTokenRowsName), PickleType::parameter, true)});
  }
  supply.require_empty();
  return files;
}

}  // namespace shine
