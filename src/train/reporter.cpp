#include "train/reporter.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "checkpoint/run_folder.h"
#include "common/format.h"
#include "lora/parameter_names.h"
#include "optim/lr_schedule.h"
#include "shine/common/logging.h"
#include "shine/common/str.h"

namespace shine {

using Json = nlohmann::ordered_json;

Reporter::Reporter(const Stage& stage, const TrainerOptions& options, const AdamW& optimizer, std::int64_t last_step,
                   const std::string& lines)
    : stage_(stage),
      options_(options),
      optimizer_(optimizer),
      last_step_(last_step),
      watch_(options.schedule.warmup_steps),
      line_(optimizer.ranks().is_first() ? options.logging.progress : ProgressForm::none) {
  if (!optimizer.ranks().is_first()) return;
  const RunFolder run{options.run.dir};
  metrics_ = std::make_unique<MetricsFile>(run.metrics(), lines, options.logging.tensorboard ? run.tensorboard() : "");
}

void Reporter::record(Json event) {
  if (metrics_) metrics_->write(std::move(event));
}

void Reporter::start(const TrainProgress& progress) {
  plan();
  if (progress.step >= last_step_) {
    log_info(str("nothing to do: ", options_.run.dir, " has its ", progress.step, " steps"));
  }
  log_info(str("stage ", stage_.name, ": ", stage_.train->size(), " samples, ", progress.total_steps,
               " optimizer steps, from ", progress.step, " to ", last_step_));
  warn_about_rates(progress);
  if (progress.step > 0) return;
  for (const DataCounts& data : stage_.data_counts) {
    Json event{{"kind", "data"}, {"step", 0}, {"set", data.set}};
    for (const auto& [name, count] : data.counts) event[name] = count;
    record(std::move(event));
  }
}

/// A run that cannot learn, or not at the rate it was given, says so before its first step.
void Reporter::warn_about_rates(const TrainProgress& progress) const {
  if (progress.step >= last_step_) return;
  const double peak = options_.optimizer.learning_rate;
  double highest = 0.0;
  for (std::int64_t step = progress.step; step < last_step_; ++step) {
    highest = std::max(highest, learning_rate_at(options_.schedule, peak, step, progress.total_steps));
  }
  const std::int64_t warmup = options_.schedule.warmup_steps, left = last_step_ - progress.step;
  const std::string steps = left == 1 ? "the only step" : str("each of the ", left, " steps");
  if (highest == 0.0) {
    log_warning(str(steps, " to do has learning rate 0: nothing is trained (schedule.warmup_steps is ", warmup,
                    " of a schedule of ", progress.total_steps, " steps: lower it, or make the run longer)"));
  } else if (warmup >= last_step_) {
    log_warning(str("schedule.warmup_steps is ", warmup, " and the run ends after step ", last_step_,
                    format(": the learning rate comes to %.3g, not to optimizer.learning_rate, %.3g", highest, peak),
                    " (lower schedule.warmup_steps, or make the run longer)"));
  }
}

/// Groups, ranks and shards.
void Reporter::plan() const {
  for (const ParamGroup& group : optimizer_.groups()) {
    log_info(str("parameter group ", group.name, ": ", group.tensors.size(), " tensors, ", group.numel(),
                 " values, weight decay ", group.weight_decay));
  }
  const std::int64_t ranks = optimizer_.ranks().size(), accumulation = options_.optimizer.accumulation;
  if (ranks == 1) return;
  log_info(
      str(ranks, " ranks by ", optimizer_.ranks().backend(), ", a step of ", accumulation, " micro-batches in all"));
  if (accumulation < ranks) {
    log_warning(str("optimizer.accumulation is ", accumulation, " and there are ", ranks, " ranks: ",
                    ranks - accumulation, " of them have nothing to do in any step (raise it, or start fewer ranks)"));
  } else if (accumulation % ranks != 0) {
    log_warning(str("optimizer.accumulation is ", accumulation, " and there are ", ranks,
                    " ranks: some wait for others in every step (use a multiple)"));
  }
  if (!options_.optimizer.shard) return;
  const auto mebibytes = [](std::int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); };
  const std::int64_t mine = optimizer_.moment_bytes(), whole = optimizer_.whole_moment_bytes();
  log_info(format("moments sharded over %lld ranks: %.1f MiB on this rank instead of %.1f MiB, %.1f MiB saved",
                  static_cast<long long>(ranks), mebibytes(mine), mebibytes(whole), mebibytes(whole - mine)));
}

void Reporter::step(const TrainProgress& progress, std::int64_t epoch, const StepResult& result, double learning_rate,
                    double seconds) {
  if (result.dropped > 0 || result.skipped) {
    line_.interrupt();
    log_warning(str("step ", progress.step, ": ", result.dropped,
                    " micro-batches dropped (no label, or a loss that is not finite)",
                    result.skipped ? ", the step was skipped" : ""));
  }
  if (progress.step % options_.logging.every_steps != 0 && progress.step != last_step_) return;
  const double speed = static_cast<double>(result.tokens) / seconds;
  Json event{{"kind", "train"},
             {"step", progress.step},
             {"epoch", epoch},
             {"loss", result.loss},
             {"perplexity", std::exp(result.loss)},
             {"learning_rate", learning_rate},
             {"gradient_norm", result.norms.global_norm},
             {"labels", result.labels},
             {"tokens", result.tokens},
             {"tokens_per_second", speed},
             {"seconds", seconds},
             {"communication_seconds", result.communication_seconds},
             {"data_seconds", result.data_seconds},
             {"context_tokens_cut", progress.context_tokens_cut},
             {"conversation_tokens_cut", progress.conversation_tokens_cut},
             {"dropped_micro_batches", result.dropped},
             {"skipped", result.skipped}};
  if (stage_.penalty.weight > 0) event["adapter_penalty"] = result.penalty;
  for (std::size_t g = 0; g < result.norms.group_norms.size(); ++g) {
    const ParamGroup& group = optimizer_.groups()[g];
    event["gradient_norms"][group.name] = result.norms.group_norms[g];
    for (std::size_t i = 0; i < group.names.size(); ++i) {
      if (group.names[i] == kMemoryName) event["gradient_norms"][kMemoryName] = result.norms.tensor_norms[g][i];
    }
  }
  record(event);
  const double left =
      progress.seconds / static_cast<double>(progress.step) * static_cast<double>(last_step_ - progress.step);
  line_.show(
      progress.step, last_step_,
      format("step %lld/%lld  loss %.4f  ppl %.2f  lr %.2e  grad %.3f  %.0f tok/s  left %s",
             static_cast<long long>(progress.step), static_cast<long long>(last_step_), result.loss,
             std::exp(result.loss), learning_rate, result.norms.global_norm, speed, duration_text(left).c_str()));
}

void Reporter::validation(std::int64_t step, const ValidationResult& result) {
  record({{"kind", "validation"},
          {"step", step},
          {"set", result.name},
          {"loss", result.loss},
          {"perplexity", std::exp(result.loss)},
          {"labels", result.labels},
          {"samples", result.samples}});
  line_.interrupt();
  log_info(format("step %lld  validation %s: loss %.4f  ppl %.3f", static_cast<long long>(step), result.name.c_str(),
                  result.loss, std::exp(result.loss)));
}

void Reporter::diagnostics(std::int64_t step, const LoraDiagnostics& diagnostics) {
  record(diagnostics_event(step, diagnostics));
  log_info(str("step ", step, "  ", diagnostics_line(diagnostics)));
  for (const std::string& warning : watch_.warnings(step, diagnostics)) log_warning(warning);
}

}  // namespace shine
