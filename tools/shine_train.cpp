// Trains one stage from a YAML configuration.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "app/config/trained_sizes.h"
#include "app/inspect/compare_runs.h"
#include "app/train/check_start.h"
#include "app/train/describe_plan.h"
#include "app/train/describe_rank.h"
#include "app/train/describe_time.h"
#include "app/train/rank.h"
#include "app/train/time_stage.h"
#include "app/train/trainer_options.h"
#include "checkpoint/checkpoint_store.h"
#include "checkpoint/metrics_file.h"
#include "checkpoint/run_folder.h"
#include "command_line.h"
#include "common/stop_signals.h"
#include "config/config_io.h"
#include "distributed/exchange.h"
#include "io/files/atomic_folder.h"
#include "io/files/text_file.h"
#include "shine/app/builders.h"
#include "shine/common/error.h"
#include "shine/common/logging.h"
#include "shine/tensor/device.h"
#include "train/progress.h"
#include "train/stage.h"

namespace {

struct Arguments {
  std::string config;
  std::vector<std::string> overrides;
  std::vector<std::string> compare;
  bool check = false;
  bool time = false;
  bool dry_run = false;
  bool allow_changes = false;
  bool all_keys = false;
  std::optional<std::string> keys;
  std::chrono::steady_clock::time_point started = std::chrono::steady_clock::now();
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

/// The outcome of a finished run.
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

/// The run folder, in which the first rank alone works. The others have their log file there.
class RunFolderUse {
 public:
  RunFolderUse(const shine::ExperimentConfig& config, bool allow_changes, shine::Rank& rank) : run_{config.run.dir} {
    if (rank.is_first()) {
      shine::check_run_folder(config, allow_changes);
      make_folder();
      lock_.emplace(run_);
      shine::remove_partial_entries(run_.root);
      shine::add_log_file(run_.log());
    }
    rank.group().barrier();
    if (rank.is_first()) return;
    make_folder();  // on another machine
    shine::add_log_file(run_.log(rank.group().rank()));
  }

  const shine::RunFolder& run() const { return run_; }

 private:
  void make_folder() const { shine::make_folder(run_.root, "run.dir", "choose another run.dir"); }

  shine::RunFolder run_;
  std::optional<shine::RunLock> lock_;
};

void print_finished(const shine::RunFolder& run) {
  shine::log_info(shine::str("nothing to do: ", run.root.string(), " is finished"));
  const auto mark = shine::read_finished_mark(run);
  print_results(run, shine::read_checkpoint_progress(shine::CheckpointStore(run.root).folder_of(mark->step)));
}

int train(const Arguments& arguments, const shine::ExperimentConfig& config, shine::Rank& rank) {
  shine::check_inputs(config);
  shine::ExperimentDescription description;  // of the first rank, which speaks for all
  if (rank.is_first()) {
    description = shine::describe_experiment(config);
    std::fputs(description.text.c_str(), stdout);
    std::fflush(stdout);
  }
  const RunFolderUse folder(config, arguments.allow_changes, rank);
  const shine::RunFolder& run = folder.run();
  const std::string finished = rank.is_first() && shine::is_finished(config) ? "finished" : "";
  if (!shine::broadcast_text(rank.group(), finished).empty()) {
    if (rank.is_first()) print_finished(run);
    return 0;
  }

  const shine::ExperimentConfig own = rank.own_config(config);
  if (rank.is_first()) shine::warn_about_memory(description, rank.device(), rank.local_size());
  shine::StopSignals signals;
  shine::Experiment experiment = shine::build_experiment(own);
  shine::TrainerOptions options = shine::trainer_options(config, experiment.device);
  options.started = arguments.started;
  options.allow_changes = arguments.allow_changes;
  options.stop_reason = [&] { return signals.received(); };
  shine::Trainer trainer(*experiment.stage, options, rank.shared_group());
  if (rank.is_first()) {
    shine::write_file_atomically(run.config(), shine::experiment_yaml(config));
    shine::remove_finished_mark(run);
  }
  signals.hold();
  const shine::TrainSummary summary = trainer.run();
  if (!summary.stopped_by.empty()) {
    shine::log_warning(shine::str("stopped by ", summary.stopped_by, " after step ", summary.progress.step,
                                  ": run the same command again to go on"));
    return shine::kExitStopped;
  }
  rank.leave();
  if (!rank.is_first()) return 0;
  if (!experiment.hypernetwork) shine::export_decoder(experiment, run.model());
  shine::write_finished_mark(run, {summary.progress.step, summary.progress.total_steps});

  print_results(run, summary.progress);
  std::printf("peak resident memory: %.0f MiB\n", static_cast<double>(shine::peak_resident_bytes()) / (1 << 20));
  return 0;
}

shine::ExperimentConfig load(const Arguments& arguments) {
  shine::ConfigOrigins origins;
  shine::ExperimentConfig config = shine::load_experiment_config(arguments.config, arguments.overrides, &origins);
  shine::set_log_level(config.logging.level);
  shine::log_trained_sizes(shine::take_trained_sizes(config, origins, shine::ConfigUse::train));
  return config;
}

int print(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  return 0;
}

/// What can be known before the run: sizes first, then whatever would stop it.
void check(const Arguments& arguments, const shine::ExperimentConfig& config) {
  shine::check_backbone(config);
  print(shine::describe_experiment(config).text);
  std::fflush(stdout);
  print(shine::check_start(config, arguments.allow_changes));
  std::fflush(stdout);
}

/// Builds what a run would build, takes a few steps and forgets them. The first rank speaks for all.
int check_and_time(const Arguments& arguments, const shine::ExperimentConfig& config, shine::Rank& rank) {
  if (rank.is_first()) {
    check(arguments, config);
    shine::warn_about_memory(shine::describe_experiment(config), rank.device(), rank.local_size());
  }
  rank.group().barrier();
  const shine::Experiment experiment = shine::build_experiment(rank.own_config(config));
  const shine::StageTime time = shine::time_stage(experiment, rank.shared_group());
  if (!rank.is_first()) return 0;
  return print(shine::describe_time(time, shine::plan_steps(config, experiment.stage->train->size()).last));
}

int run(const Arguments& arguments) {
  if (arguments.keys) return print(shine::config_help<shine::ExperimentConfig>(*arguments.keys));
  if (!arguments.compare.empty())
    return print(shine::compare_runs({arguments.compare.begin(), arguments.compare.end()}, arguments.all_keys));
  SHINE_CHECK(!arguments.config.empty(), shine::ConfigError, "no configuration given (shine_train --help)");
  if (arguments.check && !arguments.time) {
    check(arguments, load(arguments));
    return 0;
  }
  if (arguments.dry_run) return print(shine::describe_rank(load(arguments), shine::read_launch()));
  const auto work = arguments.time ? check_and_time : train;
  return shine::run_rank(
      [&] { return load(arguments); },
      [&](const shine::ExperimentConfig& config, shine::Rank& rank) { return work(arguments, config, rank); });
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Trains one stage from a YAML configuration; run again to go on from the newest checkpoint. Exit status 75: "
      "stopped by a signal or run.max_minutes, run again to go on. Started by mpirun, torchrun or srun it is one rank "
      "of that job."};
  Arguments arguments;
  auto* config = app.add_option("config", arguments.config, "YAML file");
  app.add_option("overrides", arguments.overrides, "key.path=value, e.g. optimizer.learning_rate=1e-4");
  auto* check = app.add_flag("--check", arguments.check,
                             "print sizes, memory, samples, steps and rates, and whatever would stop the run; of the "
                             "model only config.json is needed");
  app.add_flag("--time", arguments.time,
               "with --check: load everything, take a few steps, keep nothing; print seconds a step, tokens/s and "
               "hours of the run")
      ->needs(check);
  app.add_flag("--dry-run", arguments.dry_run,
               "print what this rank of its job would do, by the launcher's environment");
  app.add_flag("--allow-changes", arguments.allow_changes,
               "go on with a run that had another configuration; each difference is a warning");
  auto* keys = app.add_option("--keys", arguments.keys,
                              "print the configuration keys, or those of a group, with type, default and meaning")
                   ->type_name("[GROUP]")
                   ->expected(0, 1);
  config->excludes(keys);
  auto* compare =
      app.add_option("--compare", arguments.compare, "print what run folders differ in: configuration, program, losses")
          ->type_name("RUN RUN")
          ->expected(2, static_cast<int>(shine::kMostRuns))
          ->excludes(config)
          ->excludes(keys);
  app.add_flag("--all-keys", arguments.all_keys, "with --compare: also keys that only concern tests (evaluation.*)")
      ->needs(compare);
  app.footer("Example: shine_train configs/tiny-text/pretrain.yaml run.seed=2 run.dir=runs/seed2");
  return shine::run_command_line(
      "shine_train", app, argc, argv, [&] { return run(arguments); }, shine::kMemoryCure);
}
