#include "shine/app/builders.h"

#include <ATen/ATen.h>

#include "app/build/memory_estimate.h"
#include "app/build/precision.h"
#include "app/build/stage_builder.h"
#include "app/train/trainer_options.h"
#include "common/format.h"
#include "decoder/end_tokens.h"
#include "io/files/atomic_folder.h"
#include "io/files/text_file.h"
#include "kernels/fused.h"
#include "ops/decoder_sublayers.h"
#include "ops/kernel_checks.h"
#include "shine/common/error.h"
#include "shine/common/logging.h"
#include "shine/io/safetensors.h"
#include "shine/tensor/device.h"
#include "shine/text/special_tokens.h"
#include "train/stage.h"

namespace shine {
namespace {

/// @param passes  as StageBuilder::passes
DecoderOptions decoder_options(const ExperimentConfig& config, std::int64_t passes, at::Device device) {
  DecoderOptions options;
  options.device = device;
  options.recompute = config.model.recompute;
  options.activation_bytes = config.model.activation_memory * (std::int64_t{1} << 20) / passes;
  options.dtype = backbone_type(config.model);
  options.attention = best_layout(device);
  if (config.model.attention == AttentionForm::padded) options.attention = AttentionLayout::padded;
  if (config.model.attention == AttentionForm::per_row) options.attention = AttentionLayout::per_row;
  return options;
}

void check_positions(const ExperimentConfig& config, const DecoderConfig& model, std::int64_t memory_tokens) {
  if (model.max_positions <= 0) return;
  const auto check = [&](const char* key, std::int64_t length, std::int64_t extra) {
    SHINE_CHECK(length + extra <= model.max_positions, ConfigError, key, " ", length,
                extra > 0 ? str(" and ", extra, " memory tokens") : "", ": the backbone has ", model.max_positions,
                " positions (max_position_embeddings or sliding_window)");
  };
  check("text.conversation_max_length", config.text.conversation_max_length, 0);
  if (memory_tokens > 0) check("text.context_max_length", config.text.context_max_length, memory_tokens);
}

std::string mebibytes(double bytes) {
  return format("%.0f MiB", bytes / (1 << 20));
}

void warn_about_slow_bfloat16(const Decoder& decoder, at::Device device) {
  const at::ScalarType dtype = decoder.dtype();
  if (!device.is_cpu() || dtype != at::kBFloat16 || cpu_backend_runs(dtype, device)) return;
  log_warning(
      "bfloat16 without this processor's bf16 instructions (or with ops.fused=off) is slow: model.dtype=float32 is "
      "faster");
}

/// Without them every turn is spelled out in ordinary tokens, which no model was trained on.
void warn_about_missing_markers(const Experiment& experiment, const std::string& folder) {
  if (experiment.chat_format != chatml_format()) return;
  for (const std::string_view marker : {kMessageStart, kMessageEnd}) {
    if (!experiment.tokenizer->token_to_id(marker))
      log_warning(str(folder, ": the tokenizer has no token ", marker,
                      ", which is written as ordinary text (use the tokenizer of a chat model)"));
  }
}

}  // namespace

Experiment build_language_model(const ExperimentConfig& config) {
  const auto stage = make_stage_builder(config);
  Experiment experiment;
  experiment.config = config;
  set_fused_ops(config.ops.fused);
  set_tf32(config.ops.tf32);
  avoid_cudnn_attention();
  experiment.device = open_device(config.run.device);
  log_info(
      str("device ", experiment.device.str(), ", ", set_threads(static_cast<int>(config.run.threads)), " CPU threads"));
  if (config.run.deterministic) set_deterministic();
  experiment.tokenizer = load_tokenizer(config.text.tokenizer);
  experiment.chat_format = choose_chat_format(config.text.chat_format, config.text.tokenizer, *experiment.tokenizer);
  log_info(str("chat format ", experiment.chat_format.name));
  warn_about_missing_markers(experiment, config.text.tokenizer);
  stage->add_tokens(*experiment.tokenizer);
  experiment.decoder = std::make_unique<Decoder>(read_decoder_config(stage->decoder_config()),
                                                 decoder_options(config, stage->passes(), experiment.device));
  experiment.end_tokens = read_end_tokens(stage->decoder_config());
  Decoder& decoder = *experiment.decoder;
  warn_about_slow_bfloat16(decoder, experiment.device);
  stage->fill(decoder);
  if (config.text.vocabulary == VocabularyUse::tokenizer) {
    decoder.set_softmax_size(std::min(decoder.config().vocab_size, experiment.tokenizer->size()));
  }
  return experiment;
}

Experiment build_model(const ExperimentConfig& config, const std::optional<WeightsSource>& weights) {
  Experiment experiment = build_language_model(config);
  make_stage_builder(config)->complete(experiment, weights);
  return experiment;
}

Experiment build_experiment(const ExperimentConfig& config) {
  Experiment experiment = build_model(config);
  experiment.stage = std::make_shared<Stage>(build_stage(experiment));
  return experiment;
}

TrainerOptions trainer_options(const ExperimentConfig& config, at::Device device) {
  TrainerOptions options;
  options.run = config.run;
  options.order = config.data.order;
  options.loader_threads = static_cast<int>(config.data.loader_threads);
  options.optimizer = config.optimizer;
  options.schedule = config.schedule;
  options.checkpoint = config.checkpoint;
  options.validation = config.validation;
  options.logging = config.logging;
  options.config_yaml = experiment_yaml(config);
  options.device = device;
  return options;
}

ExperimentDescription describe_experiment(const ExperimentConfig& config) {
  const auto stage = make_stage_builder(config);
  const DecoderConfig model = read_decoder_config(stage->decoder_config());
  Decoder decoder(model, {});  // without values
  const std::int64_t backbone = count_parameters(decoder);
  const auto [parts, trained, trains_backbone, memory_tokens] = stage->describe(decoder);
  std::string text = str("backbone: ", model.model_type, ", ", model.layers, " layers, H ", model.hidden_size, ", ",
                         backbone, " parameters", trains_backbone ? " (trained)" : " (frozen)", "\n", parts);
  text += str("trained in all: ", trained, " parameters\n");
  check_positions(config, model, memory_tokens);
  const c10::DeviceType device = parse_device(config.run.device).type();
  text += describe_precision(config, device);
  const MemoryEstimate memory = estimate_memory(config, model, trains_backbone ? 0 : backbone, trained, device);
  text += str("memory estimate: ", mebibytes(memory.frozen), " frozen weights + ", mebibytes(memory.copies),
              " prepared copies of their layers + ", mebibytes(memory.trained),
              " trained weights, gradients and moments + ", mebibytes(memory.activations),
              " activations of one micro-batch at the maximum lengths = ",
              mebibytes(memory.frozen + memory.copies + memory.trained + memory.activations));
  if (memory.snapshot > 0) {
    text += str("; ", mebibytes(memory.snapshot), " of main memory more while a checkpoint is written");
  }
  return {text + "\n", memory.frozen + memory.copies + memory.trained + memory.activations, memory.snapshot};
}

void warn_about_memory(const ExperimentDescription& description, at::Device device, int processes) {
  const auto check = [](const std::string& place, double needed, std::size_t available) {
    if (needed <= static_cast<double>(available)) return;
    log_warning(str("the memory estimate, ", mebibytes(needed), ", is above the ",
                    mebibytes(static_cast<double>(available)), " available on ", place, ": ", kMemoryCure));
  };
  const bool on_cpu = device.is_cpu();
  if (!on_cpu) check(device.str(), description.device_bytes, available_memory_bytes(device));
  check("this machine", description.main_bytes + (on_cpu ? processes * description.device_bytes : 0),
        available_memory_bytes(at::kCPU));
}

void export_decoder(const Experiment& experiment, const std::filesystem::path& directory) {
  const std::filesystem::path fresh = directory.string() + ".new";
  remove_folder(fresh);
  FolderWriter writer(fresh);
  NamedRawTensors tensors;
  for (const auto& slot : experiment.decoder->named_parameters()) {
    tensors.emplace_back(slot.key(), to_raw(slot.value()));
  }
  write_safetensors(writer.path() / "model.safetensors", tensors, {{"format", "pt"}});
  write_file_atomically(writer.path() / "config.json", read_text_file(experiment.config.model.config));
  const auto copy = [&](const std::filesystem::path& source) {
    if (std::filesystem::exists(source))
      write_file_atomically(writer.path() / source.filename(), read_text_file(source));
  };
  copy(std::filesystem::path(experiment.config.model.config).parent_path() / "generation_config.json");
  for (const std::string_view name : kTokenizerFiles) {
    copy(std::filesystem::path(experiment.config.text.tokenizer) / name);
  }
  writer.commit();
  remove_folder(directory);
  std::filesystem::rename(fresh, directory);
}

}  // namespace shine
