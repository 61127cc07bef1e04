// Trains one stage from a YAML configuration.
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "shine/app/builders.h"
#include "shine/common/logging.h"
#include "shine/common/main_guard.h"
#include "shine/common/version.h"
#include "shine/io/text_file.h"
#include "shine/tensor/device.h"

namespace {

struct Arguments {
  std::string config;
  std::vector<std::string> overrides;
  bool check = false;
  bool keys = false;
};

void print_table(const std::vector<shine::ValidationTrace>& traces) {
  if (traces.empty()) return;
  std::printf("\n%-28s %10s %12s %12s %12s %12s\n", "validation", "steps", "loss before", "loss after", "ppl before",
              "ppl after");
  for (const shine::ValidationTrace& trace : traces) {
    const std::string steps = shine::str(trace.first_step, "-", trace.last_step);
    std::printf("%-28s %10s %12.4f %12.4f %12.3f %12.3f\n", trace.set.c_str(), steps.c_str(), trace.first_loss,
                trace.last_loss, std::exp(trace.first_loss), std::exp(trace.last_loss));
  }
}

void make_run_folder(const std::filesystem::path& folder) {
  std::error_code fault;
  std::filesystem::create_directories(folder, fault);
  if (!fault) return;
  throw shine::IoError("cannot make the folder: " + fault.message(), "run.dir " + folder.string(),
                       "choose another run.dir");
}

int train(const Arguments& arguments) {
  const shine::ExperimentConfig config = shine::load_experiment_config(arguments.config, arguments.overrides);
  shine::set_log_level(config.logging.level);
  if (!arguments.check) shine::check_inputs(config);
  std::fputs(shine::describe_experiment(config).c_str(), stdout);
  std::fflush(stdout);
  if (arguments.check) return 0;
  shine::check_run_folder(config);

  const std::filesystem::path run = config.run.dir;
  make_run_folder(run);
  shine::add_log_file(run / "log.txt");
  shine::Experiment experiment = shine::build_experiment(config);
  shine::Trainer trainer(experiment.stage, shine::trainer_options(config, experiment.device));
  shine::write_file_atomically(run / "config.yaml", shine::experiment_yaml(config));
  const shine::TrainSummary summary = trainer.run();
  if (!experiment.hypernetwork) shine::export_decoder(experiment, run / "model");

  print_table(shine::read_validation_traces(run / "metrics.jsonl"));
  const shine::TrainProgress& progress = summary.progress;
  std::printf("\n%lld steps, %lld tokens in %s (%.0f tokens/s), %lld micro-batches dropped, %lld steps skipped\n",
              static_cast<long long>(progress.step), static_cast<long long>(progress.tokens),
              shine::duration_text(progress.seconds).c_str(), static_cast<double>(progress.tokens) / progress.seconds,
              static_cast<long long>(progress.dropped), static_cast<long long>(progress.skipped));
  std::printf("peak resident memory: %.0f MiB\n", static_cast<double>(shine::peak_resident_bytes()) / (1 << 20));
  std::printf("checkpoint: %s\nmetrics (loss curves): %s\n", summary.checkpoint.c_str(),
              (run / "metrics.jsonl").c_str());
  if (!experiment.hypernetwork) std::printf("model: %s\n", (run / "model").c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return shine::run_main("shine_train", [&] {
    CLI::App app{"Trains one stage from a YAML configuration; run again to go on from the newest checkpoint."};
    Arguments arguments;
    app.set_version_flag("--version", "shine_train " + shine::version());
    auto* config = app.add_option("config", arguments.config, "YAML file");
    app.add_option("overrides", arguments.overrides, "key.path=value, e.g. optimizer.learning_rate=1e-4");
    app.add_flag(
        "--check", arguments.check,
        "validate and print shapes, memory tokens, trainable parameters and a memory estimate; no weights needed");
    auto* keys = app.add_flag("--keys", arguments.keys, "print every configuration key with type, default and meaning");
    config->excludes(keys);
    CLI11_PARSE(app, argc, argv);
    if (arguments.keys) {
      std::fputs(shine::config_help<shine::ExperimentConfig>().c_str(), stdout);
      return 0;
    }
    SHINE_CHECK(!arguments.config.empty(), shine::ConfigError, "no configuration given (shine_train --help)");
    return train(arguments);
  });
}
