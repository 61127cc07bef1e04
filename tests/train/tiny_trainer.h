#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "checkpoint/metrics_file.h"
#include "io/files/text_file.h"
#include "train/tiny_objective.h"
#include "train/trainer.h"

namespace shine::test {

using Json = nlohmann::json;

/// Rows that depend on the epoch too, of different lengths.
class TinyDataset : public Dataset {
 public:
  explicit TinyDataset(std::size_t size, std::uint64_t fingerprint = 1) : size_(size), fingerprint_(fingerprint) {}
  std::size_t size() const override { return size_; }
  std::uint64_t fingerprint() const override { return fingerprint_; }
  Sample sample(std::int64_t epoch, std::size_t index) const override {
    const auto seed = static_cast<std::uint64_t>(epoch) * 1000 + index;
    Sample sample;
    sample.context_ids = random_ids(2 + index % 4, seed);
    sample.conversation_ids = random_ids(3 + index % 5, seed + 500);
    sample.labels = sample.conversation_ids;
    return sample;
  }

 private:
  std::size_t size_;
  std::uint64_t fingerprint_;
};

struct Run {
  std::unique_ptr<Decoder> decoder;
  std::unique_ptr<Hypernetwork> hypernetwork;  ///< absent: the decoder itself is trained
  Stage stage;
};

inline std::vector<NamedTensor> named_weights(const Run& run) {
  return run.hypernetwork ? run.hypernetwork->tensors() : named_tensors(*run.decoder);
}

inline std::unique_ptr<Run> make_run(bool shine, std::uint64_t seed = 1) {
  auto run = std::make_unique<Run>();
  run->decoder = tiny_decoder();
  if (shine) {
    run->hypernetwork = tiny_hypernetwork(*run->decoder);
    run->hypernetwork->initialise(seed);
    run->stage.objective = std::make_shared<ShineObjective>(*run->hypernetwork, /*with_penalty=*/true);
    run->stage.penalty = {1e-3, RegularizerForm::mean};
    run->stage.diagnostics = [run = run.get()](ProcessGroup&, const std::function<bool()>& stop) {
      LoraDiagnostics found;
      found.delta.mean_cosine = run->hypernetwork->tensors()[0].tensor.sum().item<double>();  // changes with each step
      return stop() ? std::nullopt : std::optional(found);
    };
  } else {
    initialise_decoder(*run->decoder, 0.7, seed);
    run->decoder->set_trained();
    run->stage.objective = std::make_shared<LanguageModelObjective>(*run->decoder);
  }
  run->stage.name = "test";
  run->stage.train = std::make_shared<TinyDataset>(18);  // 9 micro-batches: the last step of an epoch has one
  run->stage.validation = {{"held out", std::make_shared<TinyDataset>(5), run->stage.objective}};
  run->stage.weights = [run = run.get()] { return named_weights(*run); };
  return run;
}

inline TrainerOptions options_for(const std::filesystem::path& folder) {
  TrainerOptions options;
  options.run.dir = folder.string();
  options.optimizer.batch_size = 2;
  options.optimizer.accumulation = 2;
  options.optimizer.learning_rate = 1e-2;
  options.schedule.warmup_steps = 2;
  options.schedule.epochs = 2;
  options.checkpoint.every_steps = 0;
  options.validation.every_steps = 0;
  options.logging.progress = ProgressForm::none;
  options.config_yaml = "x: 1\n";
  return options;
}

inline TrainSummary train(Run& run, const TrainerOptions& options) {
  std::filesystem::create_directories(options.run.dir);
  return Trainer(run.stage, options).run();
}

inline std::vector<Json> metrics(const std::filesystem::path& folder, const std::string& kind) {
  std::istringstream in(read_text_file(folder / "metrics.jsonl"));
  std::vector<Json> events;
  for (std::string line; std::getline(in, line);) {
    Json event = Json::parse(line);
    if (event.at("kind") == kind) events.push_back(std::move(event));
  }
  return events;
}

}  // namespace shine::test
