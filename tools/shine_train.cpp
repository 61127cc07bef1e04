// Trains one stage from a YAML configuration.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "command_line.h"
#include "shine/app/builders.h"
#include "shine/app/compare_runs.h"
#include "shine/common/error.h"
#include "shine/common/logging.h"
#include "shine/common/stop_signals.h"
#include "shine/io/atomic_folder.h"
#include "shine/io/text_file.h"
#include "shine/run/run_folder.h"
#include "shine/tensor/device.h"

namespace {

struct Arguments {
  std::string config;
  std::vector<std::string> overrides;
  std::vector<std::string> compare;
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

/// What a finished run has to show.
void print_results(const shine::RunFolder& run, const shine::TrainProgress& progress) {
  print_table(shine::read_validation_traces(run.metrics()));
  std::printf("\n%lld steps, %lld tokens in %s (%.0f tokens/s), %lld micro-batches dropped, %lld steps skipped\n",
              static_cast<long long>(progress.step), static_cast<long long>(progress.tokens),
              shine::duration_text(progress.seconds).c_str(), static_cast<double>(progress.tokens) / progress.seconds,
              static_cast<long long>(progress.dropped), static_cast<long long>(progress.skipped));
  std::printf("checkpoint: %s\nmetrics (loss curves): %s\n",
              shine::CheckpointStore(run.root).folder_of(progress.step).c_str(), run.metrics().c_str());
  if (std::filesystem::exists(run.model())) std::printf("model: %s\n", run.model().c_str());
}

int train(const Arguments& arguments) {
  const auto started = std::chrono::steady_clock::now();
  const shine::ExperimentConfig config = shine::load_experiment_config(arguments.config, arguments.overrides);
  shine::set_log_level(config.logging.level);
  if (!arguments.check) shine::check_inputs(config);
  const shine::ExperimentDescription description = shine::describe_experiment(config);
  std::fputs(description.text.c_str(), stdout);
  std::fflush(stdout);
  if (arguments.check) return 0;
  shine::check_run_folder(config);

  const shine::RunFolder run{config.run.dir};
  make_run_folder(run.root);
  const shine::RunLock lock(run);
  shine::remove_partial_entries(run.root);
  shine::add_log_file(run.log());
  if (shine::is_finished(config)) {
    shine::log_info(shine::str("nothing to do: ", run.root.string(), " is finished"));
    const auto mark = shine::read_finished_mark(run);
    print_results(run, shine::read_checkpoint_progress(shine::CheckpointStore(run.root).folder_of(mark->step)));
    return 0;
  }

  shine::warn_about_memory(description, shine::parse_device(config.run.device));
  shine::StopSignals signals;
  shine::Experiment experiment = shine::build_experiment(config);
  shine::TrainerOptions options = shine::trainer_options(config, experiment.device);
  options.started = started;
  options.stop_reason = [&] { return signals.received(); };
  shine::Trainer trainer(experiment.stage, options);
  shine::write_file_atomically(run.config(), shine::experiment_yaml(config));
  shine::remove_finished_mark(run);
  signals.hold();
  const shine::TrainSummary summary = trainer.run();
  if (!summary.stopped_by.empty()) {
    shine::log_warning(shine::str("stopped by ", summary.stopped_by, " after step ", summary.progress.step,
                                  ": run the same command again to go on"));
    return shine::exit_stopped;
  }
  if (!experiment.hypernetwork) shine::export_decoder(experiment, run.model());
  shine::write_finished_mark(run, {summary.progress.step, summary.progress.total_steps});

  print_results(run, summary.progress);
  std::printf("peak resident memory: %.0f MiB\n", static_cast<double>(shine::peak_resident_bytes()) / (1 << 20));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Trains one stage from a YAML configuration; run again to go on from the newest checkpoint. Exit status 75: "
      "stopped by a signal or run.max_minutes, run again to go on."};
  Arguments arguments;
  auto* config = app.add_option("config", arguments.config, "YAML file");
  app.add_option("overrides", arguments.overrides, "key.path=value, e.g. optimizer.learning_rate=1e-4");
  app.add_flag(
      "--check", arguments.check,
      "validate and print shapes, memory tokens, trainable parameters and a memory estimate; no weights needed");
  auto* keys = app.add_flag("--keys", arguments.keys, "print every configuration key with type, default and meaning");
  config->excludes(keys);
  app.add_option("--compare", arguments.compare,
                 "print what two run folders differ in: configuration, program, losses; exit status 0 either way")
      ->type_name("RUN_A RUN_B")
      ->expected(2)
      ->excludes(config)
      ->excludes(keys);
  return shine::run_command_line(
      "shine_train", app, argc, argv,
      [&] {
        if (arguments.keys) {
          std::fputs(shine::config_help<shine::ExperimentConfig>().c_str(), stdout);
          return 0;
        }
        if (!arguments.compare.empty()) {
          std::fputs(shine::compare_runs(arguments.compare[0], arguments.compare[1]).c_str(), stdout);
          return 0;
        }
        SHINE_CHECK(!arguments.config.empty(), shine::ConfigError, "no configuration given (shine_train --help)");
        return train(arguments);
      },
      shine::memory_cure);
}
