#include "shine/train/trainer.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "common/format.h"
#include "common/timer.h"
#include "distributed/exchange.h"
#include "optim/lr_schedule.h"
#include "shine/common/logging.h"
#include "shine/common/str.h"

namespace shine {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

Trainer::Trainer(Stage stage, TrainerOptions options, std::shared_ptr<ProcessGroup> ranks)
    : stage_(std::move(stage)),
      options_(std::move(options)),
      ranks_(std::move(ranks)),
      optimizer_(make_param_groups(stage_.objective->trained(), options_.optimizer), options_.optimizer, ranks_),
      saver_(CheckpointStore(options_.run.dir, {options_.checkpoint.keep_last, options_.checkpoint.keep_every}),
             options_.checkpoint.background),
      watch_(options_.schedule.warmup_steps),
      line_(ranks_->is_first() ? options_.logging.progress : ProgressForm::none) {
  Sampler sampler = make_sampler();
  start(sampler);
  LoaderOptions loading;
  loading.rank = ranks_->rank();
  loading.ranks = ranks_->size();
  loader_ = std::make_unique<Loader>(stage_.train, std::move(sampler), loading);
}

Sampler Trainer::make_sampler() const {
  SamplerOptions options;
  options.batch_size = static_cast<std::size_t>(options_.optimizer.batch_size);
  options.accumulation = static_cast<std::size_t>(options_.optimizer.accumulation);
  options.seed = static_cast<std::uint64_t>(options_.run.seed);
  options.order = options_.order;
  if (options.order == SampleOrder::by_length) options.tokens = token_counts(*stage_.train);
  return Sampler(stage_.train->size(), std::move(options));
}

void Trainer::log_plan() const {
  for (const ParamGroup& group : optimizer_.groups()) {
    log_info(str("parameter group ", group.name, ": ", group.tensors.size(), " tensors, ", group.numel(),
                 " values, weight decay ", group.weight_decay));
  }
  const std::int64_t ranks = ranks_->size(), accumulation = options_.optimizer.accumulation;
  if (ranks > 1) {
    log_info(str(ranks, " ranks by ", ranks_->backend(), ", a step of ", accumulation, " micro-batches in all"));
    if (accumulation < ranks) {
      log_warning(str("optimizer.accumulation is ", accumulation, " and there are ", ranks,
                      " ranks: ", ranks - accumulation,
                      " of them have nothing to do in any step (raise it, or start fewer ranks)"));
    } else if (accumulation % ranks != 0) {
      log_warning(str("optimizer.accumulation is ", accumulation, " and there are ", ranks,
                      " ranks: some wait for others in every step (use a multiple)"));
    }
  }
  if (options_.optimizer.shard && ranks > 1) {
    const auto mebibytes = [](std::int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); };
    const std::int64_t mine = optimizer_.moment_bytes(), whole = optimizer_.whole_moment_bytes();
    log_info(format("moments sharded over %lld ranks: %.1f MiB on this rank instead of %.1f MiB, %.1f MiB saved",
                    static_cast<long long>(ranks), mebibytes(mine), mebibytes(whole), mebibytes(whole - mine)));
  }
}

bool Trainer::validation_due() const {
  const std::int64_t every = options_.validation.every_steps;
  if (progress_.step == 0) return options_.validation.at_start;
  return progress_.step == last_step_ || (every > 0 && progress_.step % every == 0);
}

bool Trainer::checkpoint_due() const {
  const std::int64_t every = options_.checkpoint.every_steps;
  return progress_.step == last_step_ || (every > 0 && progress_.step % every == 0);
}

std::string Trainer::local_reason_to_stop(double step_seconds) const {
  if (options_.stop_reason) {
    if (std::string reason = options_.stop_reason(); !reason.empty()) return reason;
  }
  // A part of a run that does no step would never end when it is started again and again.
  const double longest = std::max(longest_step_, step_seconds);
  if (options_.run.max_minutes <= 0 || longest == 0) return "";
  const double needed = longest + saver_.last_seconds();  // one more step, and the save
  return Timer(options_.started).seconds() + needed < 60 * options_.run.max_minutes ? "" : "run.max_minutes";
}

std::string Trainer::agree_on_stop() const {
  for (std::string& reason : gather_texts(*ranks_, local_reason_to_stop())) {
    if (!reason.empty()) return std::move(reason);
  }
  return "";
}

TrainSummary Trainer::run() {
  log_plan();
  if (progress_.step >= last_step_) {
    log_info(str("nothing to do: ", options_.run.dir, " has its ", progress_.step, " steps"));
  }
  log_info(str("stage ", stage_.name, ": ", stage_.train->size(), " samples, ", progress_.total_steps,
               " optimizer steps, from ", progress_.step, " to ", last_step_));
  if (progress_.step == 0) write_data_counts();
  std::string stopped_by;
  while (true) {
    // Where a run was stopped between a step and its validation, the next part makes up for it.
    if (progress_.validated_step < progress_.step && validation_due()) run_validation();
    stopped_by = asked_to_stop_ ? agree_on_stop() : "";
    asked_to_stop_ = false;
    if (progress_.step > saved_step_ && progress_.step > 0 && (checkpoint_due() || !stopped_by.empty())) save();
    if (progress_.step >= last_step_ || !stopped_by.empty()) break;
    train_one_step();
    saver_.poll();
  }
  saver_.finish();
  line_.interrupt();
  if (progress_.step >= last_step_ && progress_.validated_step >= progress_.step) stopped_by.clear();
  const bool trained = progress_.step > 0;
  return {progress_, trained ? saver_.store().folder_of(progress_.step).string() : "", stopped_by};
}

void Trainer::record(Json event) {
  if (metrics_) metrics_->write(std::move(event));
}

void Trainer::write_data_counts() {
  for (const DataCounts& data : stage_.data_counts) {
    Json event{{"kind", "data"}, {"step", 0}, {"set", data.set}};
    for (const auto& [name, count] : data.counts) event[name] = count;
    record(std::move(event));
  }
}

void Trainer::train_one_step() {
  const Timer timer;
  const double rate =
      learning_rate_at(options_.schedule, options_.optimizer.learning_rate, progress_.step, progress_.total_steps);
  StepBatches mine = loader_->next();
  std::vector<ModelBatch> batches;
  double context_cut = 0, conversation_cut = 0;
  for (const std::vector<Sample>& samples : mine.micro_batches) {
    for (const Sample& sample : samples) {
      context_cut += static_cast<double>(sample.context_tokens_cut);
      conversation_cut += static_cast<double>(sample.conversation_tokens_cut);
    }
    batches.push_back(make_model_batch(samples, options_.device, stage_.objective->softmax_size()));
  }
  TrainStep step(*stage_.objective, optimizer_, options_.optimizer, stage_.penalty);
  const StepResult result = step.run(batches, rate, [&]() -> std::vector<double> {
    return {context_cut, conversation_cut, local_reason_to_stop(timer.seconds()).empty() ? 0.0 : 1.0};
  });
  const double seconds = timer.seconds();
  ++progress_.step;
  progress_.sampler = mine.resume;
  progress_.context_tokens_cut += static_cast<std::int64_t>(result.tallies[0]);
  progress_.conversation_tokens_cut += static_cast<std::int64_t>(result.tallies[1]);
  asked_to_stop_ = result.tallies[2] > 0;
  progress_.optimizer_steps = optimizer_.steps();
  progress_.tokens += result.tokens;
  progress_.labels += result.labels;
  progress_.dropped += result.dropped;
  progress_.skipped += result.skipped ? 1 : 0;
  progress_.seconds += seconds;
  longest_step_ = std::max(longest_step_, seconds);
  if (result.dropped > 0 || result.skipped) {
    line_.interrupt();
    log_warning(str("step ", progress_.step, ": ", result.dropped,
                    " micro-batches dropped (no label, or a loss that is "
                    "not finite)",
                    result.skipped ? ", the step was skipped" : ""));
  }
  report_step(result, rate, seconds);
  const std::int64_t every = options_.run.check_every;
  if (every > 0 && progress_.step % every == 0) {
    require_equal_ranks(str("after step ", progress_.step));
  }
}

void Trainer::report_step(const StepResult& result, double rate, double seconds) {
  if (progress_.step % options_.logging.every_steps != 0 && progress_.step != last_step_) return;
  const double speed = static_cast<double>(result.tokens) / seconds;
  Json event{{"kind", "train"},
             {"step", progress_.step},
             {"epoch", progress_.sampler.epoch},
             {"loss", result.loss},
             {"perplexity", std::exp(result.loss)},
             {"learning_rate", rate},
             {"gradient_norm", result.norms.global_norm},
             {"labels", result.labels},
             {"tokens", result.tokens},
             {"tokens_per_second", speed},
             {"seconds", seconds},
             {"communication_seconds", result.communication_seconds},
             {"context_tokens_cut", progress_.context_tokens_cut},
             {"conversation_tokens_cut", progress_.conversation_tokens_cut},
             {"dropped_micro_batches", result.dropped},
             {"skipped", result.skipped}};
  if (stage_.penalty.weight > 0) event["adapter_penalty"] = result.penalty;
  for (std::size_t g = 0; g < result.norms.group_norms.size(); ++g) {
    const ParamGroup& group = optimizer_.groups()[g];
    event["gradient_norms"][group.name] = result.norms.group_norms[g];
    for (std::size_t i = 0; i < group.names.size(); ++i) {
      if (group.names[i] == "mem_tokens") event["gradient_norms"]["mem_tokens"] = result.norms.tensor_norms[g][i];
    }
  }
  record(event);
  const double per_step = progress_.seconds / static_cast<double>(progress_.step);
  line_.show(progress_.step, last_step_,
             format("step %lld/%lld  loss %.4f  ppl %.2f  lr %.2e  grad %.3f  %.0f tok/s  left %s",
                    static_cast<long long>(progress_.step), static_cast<long long>(last_step_), result.loss,
                    std::exp(result.loss), rate, result.norms.global_norm, speed,
                    duration_text(per_step * static_cast<double>(last_step_ - progress_.step)).c_str()));
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
  for (const ValidationResult& result : results) {
    record({{"kind", "validation"},
            {"step", progress_.step},
            {"set", result.name},
            {"loss", result.loss},
            {"perplexity", std::exp(result.loss)},
            {"labels", result.labels},
            {"samples", result.samples}});
    line_.interrupt();
    log_info(format("step %lld  validation %s: loss %.4f  ppl %.3f", static_cast<long long>(progress_.step),
                    result.name.c_str(), result.loss, std::exp(result.loss)));
  }
  if (diagnostics) report_diagnostics(*diagnostics);
  progress_.validated_step = progress_.step;
}

void Trainer::report_diagnostics(const LoraDiagnostics& diagnostics) {
  record(diagnostics_event(progress_.step, diagnostics));
  log_info(str("step ", progress_.step, "  ", diagnostics_line(diagnostics)));
  for (const std::string& warning : watch_.warnings(progress_.step, diagnostics)) log_warning(warning);
}

void Trainer::save() {
  line_.interrupt();
  // A run goes on from what is saved: ranks that have parted must not get that far.
  if (options_.run.check_every > 0) require_equal_ranks(str("after step ", progress_.step));
  if (ranks_->is_first()) {
    saver_.save([this] { return contents(); });
  } else {
    contents();
  }
  saved_step_ = progress_.step;
}

}  // namespace shine
