#include "train/trainer.h"

#include <algorithm>

#include "common/timer.h"
#include "distributed/exchange.h"
#include "optim/lr_schedule.h"
#include "optim/rank_check.h"
#include "shine/common/str.h"
#include "train/reporter.h"
#include "train/resume.h"

namespace shine {
namespace {

/// One below the other: tokens of contexts and of conversations that the maximum lengths cut off.
std::vector<double> tokens_cut(const StepBatches& batches) {
  double contexts = 0, conversations = 0;
  for (const std::vector<Sample>& samples : batches.micro_batches) {
    for (const Sample& sample : samples) {
      contexts += static_cast<double>(sample.context_tokens_cut);
      conversations += static_cast<double>(sample.conversation_tokens_cut);
    }
  }
  return {contexts, conversations};
}

}  // namespace

Sampler make_sampler(const Dataset& dataset, const TrainerOptions& trainer) {
  SamplerOptions options;
  options.batch_size = static_cast<std::size_t>(trainer.optimizer.batch_size);
  options.accumulation = static_cast<std::size_t>(trainer.optimizer.accumulation);
  options.seed = static_cast<std::uint64_t>(trainer.run.seed);
  options.order = trainer.order;
  options.computed_order = dataset.has_computed_order();
  if (options.order == SampleOrder::by_length && !options.computed_order) options.tokens = token_counts(dataset);
  return Sampler(dataset.size(), std::move(options));
}

Trainer::Trainer(Stage stage, TrainerOptions options, std::shared_ptr<ProcessGroup> ranks)
    : stage_(std::move(stage)),
      options_(std::move(options)),
      ranks_(std::move(ranks)),
      saver_(CheckpointStore(options_.run.dir, {options_.checkpoint.keep_last, options_.checkpoint.keep_every}),
             options_.checkpoint.background),
      state_(std::make_unique<TrainState>(stage_, options_.optimizer, ranks_)) {
  Sampler sampler = make_sampler(*stage_.train, options_);
  const std::string lines = resume(*state_, sampler, stage_, options_, saver_.store());
  saved_step_ = state_->progress.step;
  last_step_ = total_steps();
  if (options_.run.max_steps > 0) last_step_ = std::min(options_.run.max_steps, last_step_);
  last_step_ = std::max(last_step_, saved_step_);  // run.max_steps may be below what was reached
  reporter_ = std::make_unique<Reporter>(stage_, options_, state_->optimizer, last_step_, lines);
  loader_ = std::make_unique<Loader>(
      stage_.train, std::move(sampler),
      LoaderOptions{.rank = ranks_->rank(), .ranks = ranks_->size(), .threads = options_.loader_threads});
}

Trainer::~Trainer() = default;

std::int64_t Trainer::total_steps() const {
  return state_->progress.total_steps;
}

TrainSummary Trainer::run() {
  TrainProgress& progress = state_->progress;
  reporter_->start(progress);
  std::string stopped_by;
  while (true) {
    // A run stopped between a step and its validation: the validation is done now.
    if (progress.validated_step < progress.step && validation_due()) run_validation();
    stopped_by = agree_on_stop();
    if (progress.step > saved_step_ && (due(options_.checkpoint.every_steps) || !stopped_by.empty())) save();
    if (progress.step >= last_step_ || !stopped_by.empty()) break;
    train_one_step();
    saver_.poll();
  }
  saver_.finish();
  reporter_->interrupt();
  if (progress.step >= last_step_ && progress.validated_step >= progress.step) stopped_by.clear();
  const bool trained = progress.step > 0;
  return {progress, trained ? saver_.store().folder_of(progress.step).string() : "", stopped_by};
}

void Trainer::train_one_step() {
  const Timer timer;
  TrainProgress& progress = state_->progress;
  const StepBatches batches = loader_->next();
  std::vector<ModelBatch> micro_batches;
  for (const std::vector<Sample>& samples : batches.micro_batches) {
    micro_batches.push_back(make_model_batch(samples, options_.device, stage_.objective->softmax_size()));
  }
  const double rate =
      learning_rate_at(options_.schedule, options_.optimizer.learning_rate, progress.step, progress.total_steps);
  TrainStep step(*stage_.objective, state_->optimizer, options_.optimizer, stage_.penalty);
  StepResult result = step.run(micro_batches, rate, [&] {
    std::vector<double> tallies = tokens_cut(batches);
    tallies.push_back(local_reason_to_stop(timer.seconds()).empty() ? 0.0 : 1.0);
    return tallies;
  });
  result.data_seconds = batches.waited_seconds;
  const double seconds = timer.seconds();
  longest_step_ = std::max(longest_step_, seconds);
  asked_to_stop_ = result.tallies[2] > 0;
  ++progress.step;
  progress.sampler = batches.resume;
  progress.context_tokens_cut += static_cast<std::int64_t>(result.tallies[0]);
  progress.conversation_tokens_cut += static_cast<std::int64_t>(result.tallies[1]);
  progress.optimizer_steps = state_->optimizer.steps();
  progress.tokens += result.tokens;
  progress.labels += result.labels;
  progress.dropped += result.dropped;
  progress.skipped += result.skipped ? 1 : 0;
  progress.seconds += seconds;
  reporter_->step(progress, batches.epoch, result, rate, seconds);
  const std::int64_t every = options_.run.check_every;
  if (every > 0 && progress.step % every == 0) require_equal_ranks();
}

bool Trainer::due(std::int64_t every_steps) const {
  const std::int64_t step = state_->progress.step;
  return step == last_step_ || (every_steps > 0 && step % every_steps == 0);
}

bool Trainer::validation_due() const {
  if (state_->progress.step == 0) return options_.validation.at_start;
  return due(options_.validation.every_steps);
}

void Trainer::run_validation() {
  const auto stop = [&] { return !local_reason_to_stop().empty(); };
  asked_to_stop_ = true;
  std::vector<ValidationResult> results;
  for (const ValidationSet& set : stage_.validation) {
    auto result =
        validate(set, {options_.validation.max_samples, options_.optimizer.batch_size, options_.device, stop}, *ranks_);
    if (!result) return;  // all sets are scored again by the next part of the run
    results.push_back(*result);
  }
  std::optional<LoraDiagnostics> diagnostics;
  if (stage_.diagnostics && options_.validation.diagnostics) {
    diagnostics = stage_.diagnostics(*ranks_, stop);
    if (!diagnostics) return;
  }
  TrainProgress& progress = state_->progress;
  for (const ValidationResult& result : results) reporter_->validation(progress.step, result);
  if (diagnostics) reporter_->diagnostics(progress.step, *diagnostics);
  progress.validated_step = progress.step;
}

std::string Trainer::local_reason_to_stop(double step_seconds) const {
  if (options_.stop_reason) {
    if (std::string reason = options_.stop_reason(); !reason.empty()) return reason;
  }
  // At least one step, or a run restarted again and again would never end.
  const double longest = std::max(longest_step_, step_seconds);
  if (options_.run.max_minutes <= 0 || longest == 0) return "";
  const double needed = longest + saver_.last_seconds();  // one more step, and the save
  return Timer(options_.started).seconds() + needed < 60 * options_.run.max_minutes ? "" : "run.max_minutes";
}

/// The first reason that a rank has; every rank calls.
std::string Trainer::agree_on_stop() {
  if (!asked_to_stop_) return "";
  asked_to_stop_ = false;
  for (std::string& reason : gather_texts(*ranks_, local_reason_to_stop())) {
    if (!reason.empty()) return std::move(reason);
  }
  return "";
}

void Trainer::require_equal_ranks() const {
  require_equal_tensors(*ranks_, state_->weights(), str("after step ", state_->progress.step));
}

void Trainer::save() {
  reporter_->interrupt();
  // A run resumes from what is saved: diverged ranks must not be saved.
  if (options_.run.check_every > 0) require_equal_ranks();
  const auto snapshot = [this] {
    CheckpointContents contents = checkpoint_of(*state_, options_, saver_.background());
    contents.metrics = reporter_->lines();
    return contents;
  };
  if (ranks_->is_first()) {
    saver_.save(snapshot);
  } else {
    snapshot();
  }
  saved_step_ = state_->progress.step;
}

}  // namespace shine
