#include "shine/train/trainer.h"

#include <ATen/ATen.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "shine/common/error.h"
#include "shine/common/logging.h"
#include "shine/optim/lr_schedule.h"

namespace shine {
namespace {

using Json = nlohmann::ordered_json;

/// Micro-batches prepared while one is trained on.
constexpr std::size_t kPreparedAhead = 4;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

template <class... Parts>
std::string print(const char* format, Parts... parts) {
  char text[256];
  std::snprintf(text, sizeof text, format, parts...);
  return text;
}

}  // namespace

Trainer::Trainer(Stage stage, TrainerOptions options)
    : stage_(std::move(stage)),
      options_(std::move(options)),
      optimizer_(make_param_groups(stage_.objective->trained(), options_.optimizer), options_.optimizer),
      store_(options_.run.dir, options_.checkpoint.keep_last),
      line_(options_.logging.progress) {
  const auto seed = static_cast<std::uint64_t>(options_.run.seed);
  Sampler sampler(stage_.train->size(), static_cast<std::size_t>(options_.optimizer.batch_size), seed);
  batches_per_epoch_ = static_cast<std::int64_t>(sampler.batches_per_epoch());
  const std::int64_t accumulation = options_.optimizer.accumulation;
  total_steps_ = options_.schedule.epochs * ((batches_per_epoch_ + accumulation - 1) / accumulation);
  last_step_ = options_.run.max_steps > 0 ? std::min(options_.run.max_steps, total_steps_) : total_steps_;
  progress_.sampler = sampler.state();
  progress_.data_fingerprint = stage_.train->fingerprint();
  resume();
  sampler.restore(progress_.sampler);
  loader_ = std::make_unique<Loader>(stage_.train, std::move(sampler), kPreparedAhead);
  // A run that starts anew also validates anew, at step 0.
  const std::int64_t last_written = progress_.step > 0 ? progress_.step : -1;
  metrics_ = std::make_unique<MetricsFile>(std::filesystem::path(options_.run.dir) / "metrics.jsonl", last_written);
}

void Trainer::resume() {
  if (options_.checkpoint.resume == ResumeMode::never) return;
  const auto newest = store_.newest();
  if (!newest) return;
  const std::uint64_t fingerprint = progress_.data_fingerprint;
  progress_ = read_checkpoint_progress(*newest);
  SHINE_CHECK(progress_.data_fingerprint == fingerprint, ConfigError, newest->string(),
              ": the training data has changed since this checkpoint (restore it, or use a new run.dir)");
  const at::NoGradGuard no_grad;
  const RawTensorDict saved = read_checkpoint_weights(*newest);
  for (const auto& [name, tensor] : stage_.weights()) {
    const auto found = saved.find(name);
    SHINE_CHECK(found != saved.end() && found->second.shape == tensor.sizes().vec(), FormatError, newest->string(),
                ": ", name, " is missing or of another shape (use a new run.dir, or checkpoint.resume=never)");
    tensor.copy_(to_tensor(found->second));
  }
  optimizer_.load_state(read_checkpoint_moments(*newest), progress_.optimizer_steps);
  log_info(str("resuming from ", newest->string(), " after step ", progress_.step));
}

void Trainer::log_groups() const {
  for (const ParamGroup& group : optimizer_.groups()) {
    log_info(str("parameter group ", group.name, ": ", group.tensors.size(), " tensors, ", group.numel(),
                 " values, weight decay ", group.weight_decay));
  }
}

TrainSummary Trainer::run() {
  log_groups();
  if (progress_.step >= last_step_) {
    log_info(str("nothing to do: ", options_.run.dir, " has its ", progress_.step, " steps"));
  }
  log_info(str("stage ", stage_.name, ": ", stage_.train->size(), " samples, ", total_steps_, " optimizer steps, from ",
               progress_.step, " to ", last_step_));
  if (options_.evaluation.at_start && progress_.step == 0) run_validation();
  while (progress_.step < last_step_) {
    train_one_step();
    const bool last = progress_.step == last_step_;
    const auto due = [&](std::int64_t every) { return every > 0 && progress_.step % every == 0; };
    if (last || due(options_.evaluation.every_steps)) run_validation();
    if (last || due(options_.checkpoint.every_steps)) save();
  }
  line_.interrupt();
  return {progress_, store_.folder_of(progress_.step).string()};
}

std::vector<ModelBatch> Trainer::next_step_batches() {
  const std::int64_t accumulation = options_.optimizer.accumulation;
  const auto done = static_cast<std::int64_t>(progress_.sampler.next) / options_.optimizer.batch_size;
  const std::int64_t count = std::min(accumulation, batches_per_epoch_ - done);
  std::vector<ModelBatch> batches;
  for (std::int64_t i = 0; i < count; ++i) {
    const MicroBatch batch = loader_->next();
    for (const Sample& sample : batch.samples) {
      progress_.context_tokens_cut += sample.context_tokens_cut;
      progress_.conversation_tokens_cut += sample.conversation_tokens_cut;
    }
    batches.push_back(make_model_batch(batch.samples, options_.device, stage_.objective->softmax_size()));
    progress_.sampler = batch.resume;
  }
  return batches;
}

void Trainer::train_one_step() {
  const auto start = std::chrono::steady_clock::now();
  const double rate =
      learning_rate_at(options_.schedule, options_.optimizer.learning_rate, progress_.step, total_steps_);
  TrainStep step(*stage_.objective, optimizer_, options_.optimizer, stage_.penalty);
  const StepResult result = step.run(next_step_batches(), rate);
  const double seconds = seconds_since(start);
  ++progress_.step;
  progress_.optimizer_steps = optimizer_.steps();
  progress_.tokens += result.tokens;
  progress_.labels += result.labels;
  progress_.dropped += result.dropped;
  progress_.skipped += result.skipped ? 1 : 0;
  progress_.seconds += seconds;
  if (result.dropped > 0 || result.skipped) {
    line_.interrupt();
    log_warning(str("step ", progress_.step, ": ", result.dropped,
                    " micro-batches dropped (no label, or a loss that is "
                    "not finite)",
                    result.skipped ? ", the step was skipped" : ""));
  }
  report_step(result, rate, seconds);
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
  metrics_->write(event);
  const double per_step = progress_.seconds / static_cast<double>(progress_.step);
  line_.show(progress_.step, last_step_,
             print("step %lld/%lld  loss %.4f  ppl %.2f  lr %.2e  grad %.3f  %.0f tok/s  left %s",
                   static_cast<long long>(progress_.step), static_cast<long long>(last_step_), result.loss,
                   std::exp(result.loss), rate, result.norms.global_norm, speed,
                   duration_text(per_step * static_cast<double>(last_step_ - progress_.step)).c_str()));
}

void Trainer::run_validation() {
  for (const ValidationSet& set : stage_.validation) {
    const ValidationResult result =
        validate(set, options_.evaluation.max_samples, options_.optimizer.batch_size, options_.device);
    metrics_->write({{"kind", "validation"},
                     {"step", progress_.step},
                     {"set", result.name},
                     {"loss", result.loss},
                     {"perplexity", std::exp(result.loss)},
                     {"labels", result.labels},
                     {"samples", result.samples}});
    line_.interrupt();
    log_info(print("step %lld  validation %s: loss %.4f  ppl %.3f", static_cast<long long>(progress_.step),
                   result.name.c_str(), result.loss, std::exp(result.loss)));
  }
}

void Trainer::save() {
  line_.interrupt();
  store_.save({stage_.weights(), optimizer_.state(), progress_, options_.config_yaml});
  log_info(str("saved ", store_.folder_of(progress_.step).string()));
}

}  // namespace shine
