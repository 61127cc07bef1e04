#include "shine/train/trainer.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/version.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "shine/common/error.h"
#include "shine/common/format.h"
#include "shine/common/logging.h"
#include "shine/common/timer.h"
#include "shine/common/version.h"
#include "shine/optim/lr_schedule.h"
#include "shine/run/run_folder.h"
#include "shine/tensor/torch_tensor.h"
#include "train/random_state.h"

namespace shine {
namespace {

using Json = nlohmann::ordered_json;

/// Micro-batches prepared while one is trained on.
constexpr std::size_t kPreparedAhead = 4;

/// Names of the fingerprints that must not change between two parts of a run; those of validation sets may.
constexpr const char* kTrainData = "train";
constexpr const char* kFrozenWeights = "frozen weights";

Provenance provenance(at::Device device) {
  return {version(), {{"libtorch", TORCH_VERSION}}, device.str(), at::get_num_threads()};
}

}  // namespace

Trainer::Trainer(Stage stage, TrainerOptions options)
    : stage_(std::move(stage)),
      options_(std::move(options)),
      optimizer_(make_param_groups(stage_.objective->trained(), options_.optimizer), options_.optimizer),
      saver_(CheckpointStore(options_.run.dir, {options_.checkpoint.keep_last, options_.checkpoint.keep_every}),
             options_.checkpoint.background),
      watch_(options_.schedule.warmup_steps),
      line_(options_.logging.progress) {
  const auto seed = static_cast<std::uint64_t>(options_.run.seed);
  Sampler sampler(stage_.train->size(), static_cast<std::size_t>(options_.optimizer.batch_size), seed);
  batches_per_epoch_ = static_cast<std::int64_t>(sampler.batches_per_epoch());
  const std::int64_t accumulation = options_.optimizer.accumulation;
  progress_.total_steps = options_.schedule.epochs * ((batches_per_epoch_ + accumulation - 1) / accumulation);
  last_step_ = progress_.total_steps;
  if (options_.run.max_steps > 0) last_step_ = std::min(options_.run.max_steps, last_step_);
  progress_.sampler = sampler.state();
  progress_.data_fingerprints[kTrainData] = stage_.train->fingerprint();
  progress_.data_fingerprints[kFrozenWeights] = stage_.frozen_fingerprint;
  for (const ValidationSet& set : stage_.validation) {
    progress_.data_fingerprints[set.name] = set.dataset->fingerprint();
  }
  at::manual_seed(seed);
  const std::string metrics_so_far = resume();
  last_step_ = std::max(last_step_, progress_.step);  // run.max_steps may be below what was reached
  sampler.restore(progress_.sampler);
  loader_ = std::make_unique<Loader>(stage_.train, std::move(sampler), kPreparedAhead);
  const RunFolder run{options_.run.dir};
  metrics_ = std::make_unique<MetricsFile>(run.metrics(), metrics_so_far,
                                           options_.logging.tensorboard ? run.tensorboard() : "");
}

std::string Trainer::resume() {
  if (options_.checkpoint.resume == ResumeMode::never) return "";
  const auto found =
      saver_.store().newest_intact([](const std::string& reason) { log_warning("checkpoint skipped: " + reason); });
  if (!found) return "";
  restore(*found);
  log_info(str("resuming from ", found->folder.string(), " after step ", progress_.step));
  return found->checkpoint.metrics;
}

void Trainer::restore(const CheckpointStore::Found& found) {
  const std::string where = found.folder.string();
  const Checkpoint& saved = found.checkpoint;
  check_same_data(saved.progress.data_fingerprints, where);
  SHINE_CHECK(saved.progress.total_steps == progress_.total_steps, ConfigError, where, ": its schedule has ",
              saved.progress.total_steps, " steps, this configuration's ", progress_.total_steps,
              " (use the same configuration and data, or a new run.dir)");
  check_same_machine(saved.made_by, where);
  const at::NoGradGuard no_grad;
  for (const auto& [name, tensor] : stage_.weights()) {
    const auto found_tensor = saved.weights.find(name);
    SHINE_CHECK(found_tensor != saved.weights.end() && found_tensor->second.shape == tensor.sizes().vec(), FormatError,
                where, ": ", name, " is missing or of another shape (use a new run.dir)");
    tensor.copy_(to_tensor(found_tensor->second));
  }
  std::map<std::string, at::Tensor> moments;
  for (const auto& [name, raw] : saved.moments) moments.emplace(name, to_tensor(raw));
  optimizer_.load_state(moments, saved.progress.optimizer_steps);
  restore_random_states(saved.random, options_.device);
  const auto fingerprints = std::move(progress_.data_fingerprints);
  progress_ = saved.progress;
  progress_.data_fingerprints = fingerprints;
  saved_step_ = progress_.step;
}

void Trainer::check_same_data(const std::map<std::string, std::uint64_t>& saved, const std::string& where) const {
  for (const auto& [set, fingerprint] : progress_.data_fingerprints) {
    const auto before = saved.find(set);
    if (before != saved.end() && before->second == fingerprint) continue;
    SHINE_CHECK(set != kTrainData, ConfigError, where,
                ": the training data has changed since this checkpoint (restore it, or use a new run.dir)");
    SHINE_CHECK(set != kFrozenWeights, ConfigError, where,
                ": the backbone's weights have changed since this checkpoint (restore them, or use a new run.dir)");
    log_warning(
        str("validation set `", set, "` has changed since ", where, ": its losses before and after do not compare"));
  }
}

void Trainer::check_same_machine(const Provenance& saved, const std::string& where) const {
  const Provenance now = provenance(options_.device);
  if (saved.device == now.device && saved.threads == now.threads) return;
  const std::string difference = str("made on ", saved.device, " with ", saved.threads, " CPU threads, this is ",
                                     now.device, " with ", now.threads);
  SHINE_CHECK(!options_.run.deterministic, ConfigError, where, ": ", difference,
              ": the numbers would differ in their last bits (set run.threads and run.device, or "
              "run.deterministic=false)");
  log_warning(str(where, ": ", difference, ": the numbers may differ in their last bits"));
}

void Trainer::log_groups() const {
  for (const ParamGroup& group : optimizer_.groups()) {
    log_info(str("parameter group ", group.name, ": ", group.tensors.size(), " tensors, ", group.numel(),
                 " values, weight decay ", group.weight_decay));
  }
}

bool Trainer::validation_due() const {
  const std::int64_t every = options_.evaluation.every_steps;
  if (progress_.step == 0) return options_.evaluation.at_start;
  return progress_.step == last_step_ || (every > 0 && progress_.step % every == 0);
}

bool Trainer::checkpoint_due() const {
  const std::int64_t every = options_.checkpoint.every_steps;
  return progress_.step == last_step_ || (every > 0 && progress_.step % every == 0);
}

std::string Trainer::reason_to_stop() const {
  if (options_.stop_reason) {
    if (std::string reason = options_.stop_reason(); !reason.empty()) return reason;
  }
  // A part of a run that does no step would never end when it is started again and again.
  if (options_.run.max_minutes <= 0 || longest_step_ == 0) return "";
  const double needed = longest_step_ + saver_.last_seconds();  // one more step, and the save
  return Timer(options_.started).seconds() + needed < 60 * options_.run.max_minutes ? "" : "run.max_minutes";
}

TrainSummary Trainer::run() {
  log_groups();
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
    stopped_by = reason_to_stop();
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

void Trainer::write_data_counts() {
  for (const DataCounts& data : stage_.data_counts) {
    Json event{{"kind", "data"}, {"step", 0}, {"set", data.set}};
    for (const auto& [name, count] : data.counts) event[name] = count;
    metrics_->write(std::move(event));
  }
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
  const Timer timer;
  const double rate =
      learning_rate_at(options_.schedule, options_.optimizer.learning_rate, progress_.step, progress_.total_steps);
  TrainStep step(*stage_.objective, optimizer_, options_.optimizer, stage_.penalty);
  const StepResult result = step.run(next_step_batches(), rate);
  const double seconds = timer.seconds();
  ++progress_.step;
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
             format("step %lld/%lld  loss %.4f  ppl %.2f  lr %.2e  grad %.3f  %.0f tok/s  left %s",
                    static_cast<long long>(progress_.step), static_cast<long long>(last_step_), result.loss,
                    std::exp(result.loss), rate, result.norms.global_norm, speed,
                    duration_text(per_step * static_cast<double>(last_step_ - progress_.step)).c_str()));
}

void Trainer::run_validation() {
  const auto stop = [&] { return !reason_to_stop().empty(); };
  std::vector<ValidationResult> results;
  for (const ValidationSet& set : stage_.validation) {
    auto result =
        validate(set, {options_.evaluation.max_samples, options_.optimizer.batch_size, options_.device, stop});
    if (!result) return;  // all sets are scored again by the next part of the run
    results.push_back(*result);
  }
  std::optional<LoraDiagnostics> diagnostics;
  if (stage_.diagnostics && options_.evaluation.diagnostics) {
    diagnostics = stage_.diagnostics(stop);
    if (!diagnostics) return;
  }
  for (const ValidationResult& result : results) {
    metrics_->write({{"kind", "validation"},
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
  metrics_->write(diagnostics_event(progress_.step, diagnostics));
  log_info(str("step ", progress_.step, "  ", diagnostics_line(diagnostics)));
  for (const std::string& warning : watch_.warnings(progress_.step, diagnostics)) log_warning(warning);
}

CheckpointContents Trainer::contents() const {
  // In the background, training goes on writing into these tensors: the checkpoint needs its own.
  const auto frozen = [&](const at::Tensor& tensor) {
    return to_raw(saver_.background() ? tensor.detach().to(at::kCPU, tensor.scalar_type(), /*non_blocking=*/false,
                                                           /*copy=*/true)
                                      : tensor);
  };
  CheckpointContents contents;
  for (const auto& [name, tensor] : stage_.weights()) contents.weights.emplace_back(name, frozen(tensor));
  for (const auto& [name, tensor] : optimizer_.state()) contents.moments.emplace_back(name, frozen(tensor));
  contents.random = random_states(options_.device);
  contents.progress = progress_;
  contents.made_by = provenance(options_.device);
  contents.config_yaml = options_.config_yaml;
  contents.metrics = metrics_->content();
  return contents;
}

void Trainer::save() {
  line_.interrupt();
  saver_.save([this] { return contents(); });
  saved_step_ = progress_.step;
}

}  // namespace shine
