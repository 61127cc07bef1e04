#include "app/adapt/generate_adapter.h"

#include <ATen/ATen.h>

#include "shine/common/error.h"
#include "shine/common/version.h"
#include "shine/tensor/token_rows.h"

namespace shine {
namespace {

/// Adapter `index` of the batch, with memory of its own.
LoraTree one_of(const LoraTree& batch, std::int64_t index) {
  LoraTree tree = batch;
  for_each_tensor(tree, [&](const std::string&, at::Tensor& tensor) {
    tensor = tensor.narrow(0, index, 1).to(at::TensorOptions().dtype(at::kFloat).device(at::kCPU)).clone();
  });
  return tree;
}

void require_finite(LoraTree& tree, const std::string& where) {
  for_each_tensor(tree, [&](const std::string& name, const at::Tensor& tensor) {
    SHINE_CHECK(tensor.isfinite().all().item<bool>(), Error, where, ": the generated LoRA is not finite in ", name,
                " (look at the checkpoint by shine_inspect)");
  });
}

}  // namespace

AdapterGenerator::AdapterGenerator(const Experiment& experiment, const WeightsSource& weights)
    : experiment_(experiment),
      source_{weights_fingerprint(weights), backbone_fingerprint(experiment.config.model.path),
              lora_options(experiment.config)},
      where_(weights.folder.string()) {
  SHINE_CHECK(experiment.hypernetwork, ConfigError, where_,
              ": stage backbone generates no LoRA (name a checkpoint of another stage)");
}

std::vector<Adapter> AdapterGenerator::generate(const std::vector<ContextIds>& contexts) const {
  const at::NoGradGuard no_grad;
  std::vector<std::vector<std::int64_t>> rows;
  for (const ContextIds& context : contexts) rows.push_back(context.ids);
  const Hypernetwork& hypernetwork = *experiment_.hypernetwork;
  const LoraTree batch = hypernetwork.generate(TokenRows::pack(rows, experiment_.device)).tree;
  std::vector<Adapter> adapters;
  for (std::size_t i = 0; i < contexts.size(); ++i) {
    adapters.push_back(
        {one_of(batch, static_cast<std::int64_t>(i)), metadata(contexts[i]), "generated from " + where_});
    require_finite(adapters.back().tree, where_);
  }
  return adapters;
}

AdapterMetadata AdapterGenerator::metadata(const ContextIds& context) const {
  return {adapter_identity(context.ids, source_), source_.backbone, experiment_.config.model.path,
          "shine " + version()};
}

Adapter generate_adapter(const Experiment& experiment, const WeightsSource& weights, const NamedText& context,
                         LongContext over_long) {
  const ContextIds ids = encode_context(experiment, context, over_long);
  return std::move(AdapterGenerator(experiment, weights).generate({ids}).front());
}

}  // namespace shine
