#include "train/resume.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/version.h>

#include "distributed/exchange.h"
#include "optim/rank_check.h"
#include "shine/common/error.h"
#include "shine/common/logging.h"
#include "shine/common/version.h"
#include "shine/tensor/torch_tensor.h"
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

using Found = std::optional<CheckpointStore::Found>;

Found find_checkpoint(const TrainState& state, const TrainerOptions& options, const CheckpointStore& store) {
  const ProcessGroup& ranks = state.optimizer.ranks();
  if (!ranks.is_first() || options.checkpoint.resume == ResumeMode::never) return std::nullopt;
  Found found = store.newest_intact([](const std::string& reason) { log_warning("checkpoint skipped: " + reason); });
  if (!found) return std::nullopt;
  const std::string where = found->folder.string();
  check_same_data(state.progress.data_fingerprints, found->checkpoint.progress.data_fingerprints, where);
  check_same_machine(provenance(options.device, ranks), found->checkpoint.made_by,
                     options.run.deterministic && !options.allow_changes, where);
  log_info(str("resuming from ", where, " after step ", found->checkpoint.progress.step));
  return found;
}

/// The place in the run.
void restore_progress(TrainState& state, Sampler& sampler, const Found& found, const TrainerOptions& options) {
  const std::string text =
      broadcast_text(state.optimizer.ranks(), found ? progress_text(found->checkpoint.progress) : "");
  const auto per_epoch = static_cast<std::int64_t>(sampler.steps_per_epoch());
  const std::int64_t epochs = options.schedule.epochs;
  state.progress.total_steps = epochs * per_epoch;
  if (text.empty()) return;
  TrainProgress saved = parse_progress(text);
  sampler.restore(saved.sampler);
  const bool ended = saved.sampler.epoch >= epochs;
  const std::int64_t left =
      ended ? 0 : static_cast<std::int64_t>(sampler.steps_left()) + (epochs - saved.sampler.epoch - 1) * per_epoch;
  const std::int64_t total = saved.step + left;
  if (saved.total_steps != total) {
    const std::string difference =
        str("its schedule has ", saved.total_steps, " steps, with this configuration it has ", total);
    SHINE_CHECK(options.allow_changes, ConfigError, options.run.dir, ": ", difference,
                " (use the same configuration, a new run.dir, or --allow-changes)");
    log_warning(difference);
  }
  saved.data_fingerprints = std::move(state.progress.data_fingerprints);
  saved.total_steps = total;
  state.progress = std::move(saved);
}

/// All tensors of the run, on every rank those of the first.
void restore_tensors(TrainState& state, const Found& found, at::Device device) {
  const at::NoGradGuard no_grad;
  ProcessGroup& ranks = state.optimizer.ranks();
  for (const auto& [name, tensor] : state.weights()) {
    if (found) {
      const RawTensorDict& saved = found->checkpoint.weights;
      const auto saved_tensor = saved.find(name);
      SHINE_CHECK(saved_tensor != saved.end() && saved_tensor->second.shape == tensor.sizes().vec(), FormatError,
                  found->folder.string(), ": ", name, " is missing or of another shape (use a new run.dir)");
      tensor.copy_(to_tensor(saved_tensor->second));
    }
    ranks.broadcast(tensor, 0);
  }
  require_equal_tensors(ranks, state.weights(), "at the start");
  if (state.progress.step == 0) return;
  std::map<std::string, at::Tensor> moments;
  if (found) {
    for (const auto& [name, raw] : found->checkpoint.moments) moments.emplace(name, to_tensor(raw));
  }
  state.optimizer.load_state(moments, state.progress.optimizer_steps);
  restore_random_states(ranks, found ? found->checkpoint.random : RawTensorDict{}, device);
}

}  // namespace

TrainState::TrainState(const Stage& stage, const OptimizerConfig& config, std::shared_ptr<ProcessGroup> ranks)
    : weights(stage.weights),
      optimizer(make_param_groups(stage.objective->trained(), config), config, std::move(ranks)) {}

std::string resume(TrainState& state, Sampler& sampler, const Stage& stage, const TrainerOptions& options,
                   const CheckpointStore& store) {
  at::manual_seed(static_cast<std::uint64_t>(options.run.seed));
  state.progress.sampler = sampler.state();
  state.progress.data_fingerprints = fingerprints_of(stage);
  std::map<std::string, std::string> contents;
  for (const auto& [name, fingerprint] : state.progress.data_fingerprints) contents[name] = std::to_string(fingerprint);
  require_same_work(state.optimizer.ranks(), options.config_yaml, contents);
  const Found found = find_checkpoint(state, options, store);
  restore_progress(state, sampler, found, options);
  restore_tensors(state, found, options.device);
  return found ? found->checkpoint.metrics : "";
}

CheckpointContents checkpoint_of(const TrainState& state, const TrainerOptions& options, bool copies) {
  const auto raw = [copies](const at::Tensor& tensor) {
    return to_raw(copies ? tensor.detach().to(at::kCPU, tensor.scalar_type(), /*non_blocking=*/false, /*copy=*/true)
                         : tensor);
  };
  CheckpointContents contents;
  ProcessGroup& ranks = state.optimizer.ranks();
  const auto moments = state.optimizer.state();
  contents.random = random_states(ranks, options.device);
  if (!ranks.is_first()) return contents;
  for (const auto& [name, tensor] : state.weights()) contents.weights.emplace_back(name, raw(tensor));
  for (const auto& [name, tensor] : moments) contents.moments.emplace_back(name, raw(tensor));
  contents.progress = state.progress;
  contents.made_by = provenance(options.device, ranks);
  contents.config_yaml = options.config_yaml;
  return contents;
}

}  // namespace shine
