#include "app/build/build_stage.h"

#include <algorithm>

#include "app/build/stage_builder.h"
#include "app/train/stage_diagnostics.h"
#include "ops/decoder_sublayers.h"
#include "ops/linear_cross_entropy.h"
#include "shine/common/error.h"
#include "shine/tensor/device.h"

namespace shine {

std::unique_ptr<StageBuilder> make_stage_builder(const ExperimentConfig& config) {
  switch (config.stage.name) {
    case StageName::pretrain: return pretrain_stage(config);
    case StageName::ift_mqa: return instruction_stage(config, QaForm::multi_turn);
    case StageName::ift_1qa: return instruction_stage(config, QaForm::one_question);
    case StageName::backbone: return backbone_stage(config);
  }
  throw Error("unknown stage", "stage.name");
}

Stage build_stage(const Experiment& experiment) {
  Stage stage = make_stage_builder(experiment.config)->build(experiment);
  stage.name = enum_name(experiment.config.stage.name);
  if (experiment.hypernetwork) stage.diagnostics = stage_diagnostics(experiment, stage.validation);
  return stage;
}

MemoryEstimate estimate_memory(const ExperimentConfig& config, const DecoderConfig& model, std::int64_t frozen,
                               std::int64_t trained) {
  const double element = config.model.dtype == WeightDtype::bfloat16 ? 2 : 4;
  const auto hidden = static_cast<double>(model.hidden_size);
  const auto layers = static_cast<double>(model.layers);
  const bool pretrain = config.stage.name != StageName::backbone;
  const double memory =
      pretrain ? static_cast<double>(model.lora_spec().memory_tokens(config.hypernetwork.lora_rank, model.hidden_size) *
                                     config.hypernetwork.m2p.mean_pool_size)
               : 0;
  const double sample = (pretrain ? static_cast<double>(config.text.context_max_length) : 0) +
                        static_cast<double>(config.text.conversation_max_length);
  // Of one pass: a micro-batch, or as many as optimizer.pass_tokens lets into it.
  const auto micro_batch = static_cast<double>(config.optimizer.batch_size);
  const double samples =
      std::max(micro_batch, std::min(static_cast<double>(config.optimizer.pass_tokens) / sample,
                                     micro_batch * static_cast<double>(config.optimizer.accumulation)));
  const double tokens = samples * (sample + memory);
  // Saved per token and layer: inputs of norms and projections (8 H), q, k, v and their rotations, gate, up and
  // product.
  const double attention = 3.0 * static_cast<double>(model.head_dim * (model.heads + 2 * model.kv_heads));
  const double whole = 8 * hidden + attention + 4.0 * static_cast<double>(model.intermediate_size);
  // The backward works on about two layers' worth beside what is kept.
  const auto kept = [&](double depth, double layer_values) {
    return (config.model.recompute ? depth * hidden : depth * layer_values) + 2 * layer_values;
  };
  // M2P, float32, per memory token and layer and encoder layer: about 14 H.
  const double m2p = pretrain ? 4.0 * samples * memory * layers *
                                    kept(static_cast<double>(config.hypernetwork.m2p.num_layers), 14 * hidden)
                              : 0;
  // Logits of one chunk of rows, and their gradient, float32.
  const double logits =
      samples * static_cast<double>(config.text.conversation_max_length) * static_cast<double>(model.vocab_size);
  const double head = 2 * 4.0 * std::min(logits, static_cast<double>(cross_entropy_chunk_values));
  // A snapshot holds weights and both moments.
  // The CPU backend reads prepared copies of the layers: one in float32, two in bfloat16.
  double projections = 0;
  for (const ProjectionSpec& p : model.lora_spec().projections)
    projections += layers * static_cast<double>(p.in * p.out);
  const bool backend = pretrain && parse_device(config.run.device).is_cpu() &&
                       blocks_run(element == 2 ? at::kBFloat16 : at::kFloat, at::kCPU);
  const double copies = backend ? projections * 4.0 : 0.0;  // 1 x 4 or 2 x 2 bytes a value
  double activations = tokens * kept(layers, whole) * element;
  if (config.model.activation_memory > 0) {
    const double limit = static_cast<double>(config.model.activation_memory) * 1048576.0;
    activations =
        std::min(activations, std::max(limit, tokens * layers * 2 * hidden * element) + 2 * tokens * whole * element);
  }
  return {static_cast<double>(frozen) * element, copies, static_cast<double>(trained) * 16.0, activations + m2p + head,
          config.checkpoint.background ? static_cast<double>(trained) * 12.0 : 0.0};
}

}  // namespace shine
