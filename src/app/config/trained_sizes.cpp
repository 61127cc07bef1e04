#include "app/config/trained_sizes.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "shine/checkpoint/weights_source.h"
#include "shine/common/error.h"
#include "shine/common/logging.h"

namespace shine {
namespace {

namespace fs = std::filesystem;

/// How the network is computed, not what it is.
constexpr std::array<std::string_view, 2> kOfTheRun{"hypernetwork.dtype", "hypernetwork.cuda_graph"};
/// Without an effect on any tensor's shape.
constexpr std::array<std::string_view, 2> kFitAnyWeights{"hypernetwork.generated_scale", "hypernetwork.reshape"};
/// Of first values, which the weights replace.
constexpr std::array<std::string_view, 2> kOfFirstValues{"hypernetwork.meta_lora_scale",
                                                         "hypernetwork.memory_init_std"};

template <std::size_t N>
bool is_one_of(const std::array<std::string_view, N>& keys, const std::string& key) {
  return std::ranges::find(keys, key) != keys.end();
}

bool is_size(const std::string& key) {
  return key.starts_with("hypernetwork.") && !is_one_of(kOfTheRun, key) && !is_one_of(kOfFirstValues, key);
}

/// With the Meta-LoRA that a stage has once both are joined.
HypernetworkConfig trained_network(const ExperimentConfig& trained, ConfigUse use) {
  HypernetworkConfig network = trained.hypernetwork;
  const bool joins = use == ConfigUse::train && trained.stage.extra_meta_lora_rank > 0;
  if (joins) network.meta_lora_rank += trained.stage.extra_meta_lora_rank;
  return network;
}

/// Calls `see` for the same key of both that is a size and differs.
template <class See>
void for_each_difference(ExperimentConfig& config, ExperimentConfig& trained, const See& see) {
  const FieldList to = fields_of(config), from = fields_of(trained);
  for (std::size_t i = 0; i < to.fields.size(); ++i) {
    if (is_size(to.fields[i].path) && field_value(to.fields[i]) != field_value(from.fields[i])) {
      see(to.fields[i], from.fields[i]);
    }
  }
}

std::string setting(const Field& field) {
  return str(field.path, "=", field_value(field));
}

}  // namespace

std::optional<ExperimentConfig> config_of_weights(const fs::path& path) {
  try {
    const fs::path file = find_weights(path, /*allow_unfinished=*/true).folder / "config.yaml";
    if (!fs::exists(file)) return std::nullopt;
    return load_experiment_config(file);
  } catch (const Error&) {  // who loads the weights says what is wrong with them
    return std::nullopt;
  }
}

TrainedSizes take_trained_sizes(ExperimentConfig& config, const ConfigOrigins& origins, ConfigUse use,
                                const fs::path& weights) {
  TrainedSizes sizes;
  std::optional<ExperimentConfig> trained = config_of_weights(weights);
  if (!trained || !traits_of(trained->stage.name).has_hypernetwork) return sizes;
  sizes.source = weights;
  trained->hypernetwork = trained_network(*trained, use);
  for_each_difference(config, *trained, [&](const Field& to, const Field& from) {
    const bool is_chosen = origins.is_set_in_file(to.path) && is_one_of(kFitAnyWeights, to.path);
    if (is_chosen || origins.is_overridden(to.path)) {
      sizes.differing.push_back(setting(from));
      return;
    }
    copy_value(from, to);
    sizes.taken.push_back(setting(from));
  });
  return sizes;
}

TrainedSizes take_trained_sizes(ExperimentConfig& config, const ConfigOrigins& origins, ConfigUse use) {
  if (!traits_of(config.stage.name).has_hypernetwork) return {};
  std::error_code absent;
  fs::path weights = config.run.dir;
  if (use == ConfigUse::test && !config.evaluation.checkpoint.empty()) weights = config.evaluation.checkpoint;
  if (use == ConfigUse::train) {
    if (config.stage.init_from.empty()) return {};
    if (fs::exists(config.stage.init_from, absent)) weights = config.stage.init_from;
  }
  if (!fs::exists(weights, absent)) return {};
  return take_trained_sizes(config, origins, use, weights);
}

void log_trained_sizes(const TrainedSizes& sizes) {
  if (!sizes.taken.empty()) {
    log_info(str(join(sizes.taken, ", "), ": as in ", sizes.source.string(), ", whose weights are used"));
  }
  if (!sizes.differing.empty()) {
    log_warning(str("the weights of ", sizes.source.string(), " were trained with ", join(sizes.differing, ", "),
                    ", not with the values given here (leave these keys out to have the weights' own)"));
  }
}

std::string sizes_to_copy(const ExperimentConfig& config, ConfigUse use, const fs::path& weights) {
  std::optional<ExperimentConfig> trained = config_of_weights(weights);
  if (!trained || !traits_of(trained->stage.name).has_hypernetwork) return "";
  trained->hypernetwork = trained_network(*trained, use);
  ExperimentConfig own = config;
  std::vector<std::string> settings;
  for_each_difference(own, *trained, [&](const Field&, const Field& from) { settings.push_back(setting(from)); });
  if (settings.empty()) return "";
  return str(" (the weights were trained with ", join(settings, " "), ": copy that, or leave these keys out)");
}

}  // namespace shine
