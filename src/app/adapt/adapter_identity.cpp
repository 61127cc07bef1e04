#include "app/adapt/adapter_identity.h"

#include "common/format.h"
#include "common/hash.h"
#include "config/config_io.h"
#include "io/safetensors/model_files.h"
#include "shine/common/error.h"

namespace shine {
namespace {

/// With its length, so that parts that follow each other cannot be confused.
void add_text(Fnv1a& hash, std::string_view text) {
  hash.add(static_cast<std::uint64_t>(text.size())).add_bytes(text);
}

}  // namespace

std::string backbone_fingerprint(const std::filesystem::path& model) {
  return hex_digits(ModelFiles(model).fingerprint());
}

std::string weights_fingerprint(const WeightsSource& weights) {
  Fnv1a hash;
  for (const auto& [name, tensor] : read_weights(weights)) add_tensor(hash, name, tensor);
  return hex_digits(hash.value());
}

std::string lora_options(const ExperimentConfig& config) {
  HypernetworkConfig options = config.hypernetwork;
  const HypernetworkConfig defaults;
  options.meta_lora_scale = defaults.meta_lora_scale;
  options.memory_init_std = defaults.memory_init_std;
  options.cuda_graph = defaults.cuda_graph;
  return str(config_yaml(options), "model.dtype: ", enum_name(config.model.dtype), "\n");
}

std::string adapter_identity(const std::vector<std::int64_t>& context, const AdapterSource& source) {
  Fnv1a hash;
  hash.add(static_cast<std::uint64_t>(context.size()));
  for (const std::int64_t id : context) hash.add(id);
  add_text(hash, source.weights);
  add_text(hash, source.backbone);
  add_text(hash, source.options);
  return hex_digits(hash.value());
}

void require_backbone(const AdapterMetadata& adapter, const std::string& where, const std::filesystem::path& model) {
  if (adapter.backbone.empty()) return;
  const std::string own = backbone_fingerprint(model);
  if (own == adapter.backbone) return;
  throw ConfigError(
      str("the adapter is for another backbone, ", adapter.base_model.empty() ? "unnamed" : adapter.base_model,
          " (weights ", adapter.backbone, "), than model.path ", model.string(), " (weights ", own, ")"),
      where, "name its backbone by model.path, or use it all the same with --any-backbone");
}

}  // namespace shine
