#include "app/inspect/inspect_checkpoint.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <sstream>

#include "app/config/trained_sizes.h"
#include "app/train/stage_diagnostics.h"
#include "common/hash.h"
#include "io/files/text_file.h"
#include "lora/lora_statistics.h"
#include "lora/parameter_names.h"
#include "shine/common/error.h"
#include "shine/distributed/process_group.h"
#include "shine/tensor/torch_tensor.h"

namespace shine {
namespace {

bool is_number(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
}

/// "metanetwork.transformer_layers.0.norm1.bias" -> "metanetwork.transformer_layers.0", of all else the name without
/// the numbers in it: "metalora.3.mlp.up.A" -> "metalora.mlp.up.A".
std::string part_of(const std::string& name) {
  const bool m2p = name.starts_with(prefix_of(kM2pName));
  std::vector<std::string> parts;
  std::istringstream in(name);
  for (std::string part; std::getline(in, part, '.');) {
    const bool number = is_number(part);
    if (!number || m2p) parts.push_back(part);
    if (number && m2p) break;
  }
  return join(parts, ".");
}

constexpr std::array<const char*, 5> kOrder{kMemoryName, kM2pName, kMetaLoraName, kExtraMetaLoraName,
                                            kNewTokenRowsName};

/// Where a part stands: in the order in which a context becomes a LoRA, projections in their own.
std::pair<std::size_t, std::size_t> place_of(const std::string& part) {
  const auto* const top = std::find(kOrder.begin(), kOrder.end(), part.substr(0, part.find('.')));
  std::size_t projection = 0;
  for (const Projection p : kProjections) {
    if (part.find(str(".", dotted_name(p), ".")) != std::string::npos) projection = static_cast<std::size_t>(p);
  }
  return {static_cast<std::size_t>(top - kOrder.begin()), projection};
}

/// Longer numbers come later: layer 10 after layer 9.
bool number_aware_less(const std::string& a, const std::string& b) {
  std::istringstream in_a(a), in_b(b);
  for (std::string x, y; std::getline(in_a, x, '.') && std::getline(in_b, y, '.');) {
    if (x == y) continue;
    return is_number(x) && is_number(y) && x.size() != y.size() ? x.size() < y.size() : x < y;
  }
  return a.size() < b.size();
}

bool comes_before(const PartStatistics& a, const PartStatistics& b) {
  const auto place_a = place_of(a.name), place_b = place_of(b.name);
  return place_a != place_b ? place_a < place_b : number_aware_less(a.name, b.name);
}

void add_tensor(const RawTensor& raw, PartStatistics& part) {
  const at::Tensor values = to_tensor(raw).to(at::kDouble);
  ++part.tensors;
  part.parameters += values.numel();
  if (values.numel() == 0) return;
  const at::Tensor finite = values.isfinite();
  const at::Tensor known = values.where(finite, at::zeros({}, values.options()));
  part.norm = std::hypot(part.norm, known.norm().item<double>());
  part.largest = std::max(part.largest, known.abs().max().item<double>());
  part.not_finite += values.numel() - finite.sum().item<std::int64_t>();
}

void measure_layer(const LoraLayer& layer, std::int64_t index, const at::Tensor& weight_norms,
                   std::vector<std::vector<DeltaStatistics>>& by_context) {
  for (const Projection p : kProjections) {
    const at::Tensor values = delta_singular_values(layer[p]);  // (B, k)
    const auto weight = weight_norms[index][static_cast<std::int64_t>(p)].item<double>();
    for (std::size_t context = 0; context < by_context.size(); ++context) {
      const at::Tensor row = values[static_cast<std::int64_t>(context)].contiguous();
      const double norm = row.norm().item<double>();
      const double* const first = row.const_data_ptr<double>();
      by_context[context].push_back(
          {context, index, p, norm, norm / weight, effective_rank(row), {first, first + row.numel()}});
    }
  }
}

bool has_settings(const std::filesystem::path& yaml) {
  if (!std::filesystem::exists(yaml)) return false;
  std::istringstream in(read_text_file(yaml));
  for (std::string line; std::getline(in, line);) {
    if (!line.empty() && line.front() != '#') return true;
  }
  return false;
}

}  // namespace

std::vector<PartStatistics> part_statistics(const RawTensorDict& tensors) {
  std::vector<PartStatistics> parts;
  for (const auto& [name, tensor] : tensors) {
    const std::string part = part_of(name);
    auto found = std::find_if(parts.begin(), parts.end(), [&](const auto& known) { return known.name == part; });
    if (found == parts.end()) found = parts.insert(found, PartStatistics{part});
    add_tensor(tensor, *found);
  }
  std::sort(parts.begin(), parts.end(), comes_before);
  return parts;
}

void inspect_loras(const Experiment& experiment, const std::vector<NamedText>& texts, Inspection& inspection) {
  SHINE_CHECK(experiment.hypernetwork, ConfigError,
              "stage backbone generates no LoRA (name a checkpoint of another stage, or leave the contexts out)");
  std::vector<std::vector<std::int64_t>> contexts;
  for (const NamedText& text : texts) {
    ContextIds context = encode_context(experiment, text, LongContext::cut);
    inspection.contexts.push_back({text.name, static_cast<std::int64_t>(context.ids.size()), context.cut});
    contexts.push_back(std::move(context.ids));
  }
  const Hypernetwork& hypernetwork = *experiment.hypernetwork;
  const at::Tensor vectors = *generate_vectors(hypernetwork, contexts, /*batch_size=*/1, *single_process());
  const LoraTree loras = hypernetwork.slice(vectors);
  const at::Tensor weight_norms = projection_norms(*experiment.decoder);
  std::vector<std::vector<DeltaStatistics>> by_context(texts.size());
  for (std::size_t layer = 0; layer < loras.layers.size(); ++layer) {
    measure_layer(loras.layers[layer], static_cast<std::int64_t>(layer), weight_norms, by_context);
  }
  for (const auto& rows : by_context) inspection.deltas.insert(inspection.deltas.end(), rows.begin(), rows.end());
  if (texts.size() > 1) {
    inspection.diagnostics = diagnose_loras(loras, hypernetwork.used_values(vectors), weight_norms);
  }
}

ExperimentConfig inspection_config(const WeightsSource& source, const std::filesystem::path& file,
                                   const std::vector<std::string>& overrides) {
  if (!file.empty()) {
    ConfigOrigins origins;
    ExperimentConfig config = load_experiment_config(file, overrides, &origins);
    log_trained_sizes(take_trained_sizes(config, origins, ConfigUse::test, source.folder));
    return config;
  }
  const std::filesystem::path own = source.folder / "config.yaml";
  SHINE_CHECK(has_settings(own), ConfigError, source.folder.string(),
              ": the checkpoint has no configuration (name one by --config)");
  return load_experiment_config(own, overrides);
}

}  // namespace shine
