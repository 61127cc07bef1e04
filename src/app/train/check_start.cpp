#include "app/train/check_start.h"

#include <cstdint>
#include <filesystem>

#include "app/build/meta_lora_start.h"
#include "app/build/stage_builder.h"
#include "app/train/describe_plan.h"
#include "common/format.h"
#include "shine/app/builders.h"
#include "shine/common/str.h"
#include "shine/text/tokenizer.h"

namespace shine {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t kMostBytes = std::uintmax_t{1} << 30;

std::uintmax_t total_bytes(const DataConfig& data) {
  std::uintmax_t total = 0;
  for (const auto* files : {&data.train, &data.validation}) {
    for (const std::string& file : *files) total += fs::file_size(file);
  }
  return total;
}

std::string check_data(const ExperimentConfig& config) {
  const std::uintmax_t bytes = total_bytes(config.data);
  if (bytes > kMostBytes) {
    return format("data: %.1f GiB, there, not read\n", static_cast<double>(bytes) / (1 << 30));
  }
  Experiment experiment;
  experiment.config = config;
  const auto stage = make_stage_builder(config);
  if (has_tokenizer(config.text.tokenizer)) {
    experiment.tokenizer = load_tokenizer(config.text.tokenizer);
    experiment.chat_format = choose_chat_format(config.text.chat_format, config.text.tokenizer, *experiment.tokenizer);
    stage->add_tokens(*experiment.tokenizer);
  }
  const TrainingData data = stage->training_data(experiment);
  const std::string text = str("data: ", data.train, " training and ", data.validation, " validation ",
                               reads_questions(config) ? "contexts" : "texts", "\n");
  return data.samples ? text + describe_plan(config, *data.samples) : text;
}

std::string check_weights(const ExperimentConfig& config) {
  if (has_checkpoint(config)) return "";
  if (!config.stage.meta_lora_from.empty()) {
    const Adapter start = read_meta_lora_start(config);
    return str("stage.meta_lora_from: ", start.where, ", rank ", start.tree.rank(), "\n");
  }
  if (config.stage.init_from.empty()) return "";
  const auto stage = make_stage_builder(config);
  Decoder decoder(read_decoder_config(stage->decoder_config()), {});  // without values
  const WeightsSource source = find_weights(config.stage.init_from, config.stage.allow_unfinished);
  stage->check_weights(decoder, source);
  return str("stage.init_from: ", source.note, "\n");
}

}  // namespace

std::string check_start(const ExperimentConfig& config, bool allow_changes) {
  check_inputs(config);
  check_run_place(config);
  check_run_folder(config, allow_changes);
  std::string text = check_weights(config) + check_data(config);
  const bool goes_on = has_checkpoint(config);
  text += str("run.dir: ", config.run.dir, goes_on ? ", a run to go on with" : ", a new run", "\n");
  const std::vector<std::string> missing = missing_model_files(config);
  if (!missing.empty()) text += str("not there yet, and needed to train: ", join(missing, ", "), "\n");
  return text;
}

}  // namespace shine
