// How a trainer starts, goes on from a checkpoint, and what it saves.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/version.h>

#include <algorithm>

#include "checkpoint/run_folder.h"
#include "distributed/exchange.h"
#include "optim/rank_check.h"
#include "shine/common/error.h"
#include "shine/common/logging.h"
#include "shine/common/version.h"
#include "shine/tensor/torch_tensor.h"
#include "shine/train/trainer.h"
#include "train/random_state.h"

namespace shine {
namespace {

/// Names of the fingerprints that must not change between two parts of a run; those of validation sets may.
constexpr const char* kTrainData = "train";
constexpr const char* kFrozenWeights = "frozen weights";

Provenance provenance(at::Device device, const ProcessGroup& ranks) {
  return {version(), {{"libtorch", TORCH_VERSION}}, device.str(), at::get_num_threads(), ranks.size()};
}

std::map<std::string, std::uint64_t> fingerprints_of(const Stage& stage) {
  std::map<std::string, std::uint64_t> all{{kTrainData, stage.train->fingerprint()},
                                           {kFrozenWeights, stage.frozen_fingerprint}};
  for (const ValidationSet& set : stage.validation) all[set.name] = set.dataset->fingerprint();
  return all;
}

void check_same_data(const std::map<std::string, std::uint64_t>& now, const std::map<std::string, std::uint64_t>& saved,
                     const std::string& where) {
  for (const auto& [set, fingerprint] : now) {
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

std::string machine_text(const Provenance& made_by) {
  const std::string ranks = made_by.ranks == 1 ? "" : str(made_by.ranks, " ranks, each with ");
  return str(made_by.device, " with ", ranks, made_by.threads, " CPU threads");
}

void check_same_machine(const Provenance& now, const Provenance& saved, bool must_be_equal, const std::string& where) {
  if (saved.device == now.device && saved.threads == now.threads && saved.ranks == now.ranks) return;
  const std::string difference = str("made on ", machine_text(saved), ", this is ", machine_text(now));
  SHINE_CHECK(!must_be_equal, ConfigError, where, ": ", difference,
              ": the numbers would differ in their last bits (start as many ranks, set run.threads and run.device, or "
              "run.deterministic=false)");
  log_warning(str(where, ": ", difference, ": the numbers may differ in their last bits"));
}

}  // namespace

void Trainer::start(Sampler& sampler) {
  at::manual_seed(static_cast<std::uint64_t>(options_.run.seed));
  progress_.sampler = sampler.state();
  progress_.data_fingerprints = fingerprints_of(stage_);
  std::map<std::string, std::string> contents;
  for (const auto& [name, fingerprint] : progress_.data_fingerprints) contents[name] = std::to_string(fingerprint);
  require_same_work(*ranks_, options_.config_yaml, contents);
  const Found found = find_checkpoint();
  restore(found, sampler);
  restore_tensors(found);
  if (ranks_->is_first()) {
    const RunFolder run{options_.run.dir};
    metrics_ = std::make_unique<MetricsFile>(run.metrics(), found ? found->checkpoint.metrics : "",
                                             options_.logging.tensorboard ? run.tensorboard() : "");
  }
}

Trainer::Found Trainer::find_checkpoint() const {
  if (!ranks_->is_first() || options_.checkpoint.resume == ResumeMode::never) return std::nullopt;
  Found found =
      saver_.store().newest_intact([](const std::string& reason) { log_warning("checkpoint skipped: " + reason); });
  if (!found) return std::nullopt;
  const std::string where = found->folder.string();
  check_same_data(progress_.data_fingerprints, found->checkpoint.progress.data_fingerprints, where);
  check_same_machine(provenance(options_.device, *ranks_), found->checkpoint.made_by,
                     options_.run.deterministic && !options_.allow_changes, where);
  log_info(str("resuming from ", where, " after step ", found->checkpoint.progress.step));
  return found;
}

/// The place in the run.
void Trainer::restore(const Found& found, Sampler& sampler) {
  const std::string saved_text = broadcast_text(*ranks_, found ? progress_text(found->checkpoint.progress) : "");
  const auto per_epoch = static_cast<std::int64_t>(sampler.steps_per_epoch());
  const std::int64_t epochs = options_.schedule.epochs;
  progress_.total_steps = epochs * per_epoch;
  if (!saved_text.empty()) {
    const TrainProgress saved = parse_progress(saved_text);
    sampler.restore(saved.sampler);
    const bool ended = saved.sampler.epoch >= epochs;
    const std::int64_t left =
        ended ? 0 : static_cast<std::int64_t>(sampler.steps_left()) + (epochs - saved.sampler.epoch - 1) * per_epoch;
    const std::int64_t total = saved.step + left;
    if (saved.total_steps != total) {
      const std::string difference =
          str("its schedule has ", saved.total_steps, " steps, with this configuration it has ", total);
      SHINE_CHECK(options_.allow_changes, ConfigError, options_.run.dir, ": ", difference,
                  " (use the same configuration, a new run.dir, or --allow-changes)");
      log_warning(difference);
    }
    const auto fingerprints = std::move(progress_.data_fingerprints);
    progress_ = saved;
    progress_.data_fingerprints = fingerprints;
    progress_.total_steps = total;
    saved_step_ = progress_.step;
  }
  last_step_ = progress_.total_steps;
  if (options_.run.max_steps > 0) last_step_ = std::min(options_.run.max_steps, last_step_);
  last_step_ = std::max(last_step_, progress_.step);  // run.max_steps may be below what was reached
}

/// All tensors of the run, on every rank those of the first.
void Trainer::restore_tensors(const Found& found) {
  const at::NoGradGuard no_grad;
  for (const auto& [name, tensor] : stage_.weights()) {
    if (found) {
      const RawTensorDict& saved = found->checkpoint.weights;
      const auto saved_tensor = saved.find(name);
      SHINE_CHECK(saved_tensor != saved.end() && saved_tensor->second.shape == tensor.sizes().vec(), FormatError,
                  found->folder.string(), ": ", name, " is missing or of another shape (use a new run.dir)");
      tensor.copy_(to_tensor(saved_tensor->second));
    }
    ranks_->broadcast(tensor, 0);
  }
  require_equal_ranks("at the start");
  if (progress_.step == 0) return;
  std::map<std::string, at::Tensor> moments;
  if (found) {
    for (const auto& [name, raw] : found->checkpoint.moments) moments.emplace(name, to_tensor(raw));
  }
  optimizer_.load_state(moments, progress_.optimizer_steps);
  restore_random_states(*ranks_, found ? found->checkpoint.random : RawTensorDict{}, options_.device);
}

void Trainer::require_equal_ranks(const std::string& when) const {
  require_equal_tensors(*ranks_, stage_.weights(), when);
}

CheckpointContents Trainer::contents() const {
  // In the background, training goes on writing into these tensors: the checkpoint needs its own.
  const auto frozen = [&](const at::Tensor& tensor) {
    return to_raw(saver_.background() ? tensor.detach().to(at::kCPU, tensor.scalar_type(), /*non_blocking=*/false,
                                                           /*copy=*/true)
                                      : tensor);
  };
  CheckpointContents contents;
  const auto moments = optimizer_.state();
  contents.random = random_states(*ranks_, options_.device);
  if (!ranks_->is_first()) return contents;
  for (const auto& [name, tensor] : stage_.weights()) contents.weights.emplace_back(name, frozen(tensor));
  for (const auto& [name, tensor] : moments) contents.moments.emplace_back(name, frozen(tensor));
  contents.progress = progress_;
  contents.made_by = provenance(options_.device, *ranks_);
  contents.config_yaml = options_.config_yaml;
  contents.metrics = metrics_->content();
  return contents;
}

}  // namespace shine
