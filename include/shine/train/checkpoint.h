#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "shine/data/sampler.h"
#include "shine/tensor/torch_tensor.h"

namespace shine {

/// Where a run stands, beside its tensors. Every random choice is drawn from (seed, epoch, index), so the sampler's
/// place is all the random state there is.
struct TrainProgress {
  std::int64_t step = 0;             ///< optimizer steps done, skipped ones too
  std::int64_t optimizer_steps = 0;  ///< the optimizer's own count
  SamplerState sampler;
  std::int64_t tokens = 0;                                           ///< real tokens seen
  std::int64_t labels = 0;                                           ///< labelled tokens trained on
  std::int64_t dropped = 0;                                          ///< micro-batches dropped
  std::int64_t skipped = 0;                                          ///< steps skipped
  std::int64_t context_tokens_cut = 0, conversation_tokens_cut = 0;  ///< by the maximum lengths
  std::uint64_t data_fingerprint = 0;                                ///< Dataset::fingerprint of the training data
  double seconds = 0.0;                                              ///< spent training
};

/// Weights and moments by name, and the rest of a training state.
struct CheckpointContents {
  std::vector<std::pair<std::string, at::Tensor>> weights, moments;
  TrainProgress progress;
  std::string config_yaml;
};

/// A checkpoint is a folder: trained.safetensors, optimizer.safetensors, state.json, config.yaml and the mark DONE,
/// without which it does not count. Written aside, synced and renamed. Throws IoError.
void save_checkpoint(const std::filesystem::path& folder, const CheckpointContents& contents);

/// The weights of a checkpoint of this project, mapped. Throws IoError or FormatError (incomplete folder).
RawTensorDict read_checkpoint_weights(const std::filesystem::path& folder);

/// The optimizer's moments, by name.
std::map<std::string, at::Tensor> read_checkpoint_moments(const std::filesystem::path& folder);

TrainProgress read_checkpoint_progress(const std::filesystem::path& folder);

/// The step checkpoints of one run, in `<run>/checkpoints/step-<n>`.
class CheckpointStore {
 public:
  /// @param keep_last  complete checkpoints kept; older ones are removed after a save
  CheckpointStore(std::filesystem::path run_folder, std::int64_t keep_last);

  void save(const CheckpointContents& contents) const;

  /// The complete checkpoint of the highest step.
  std::optional<std::filesystem::path> newest() const;

  std::filesystem::path folder_of(std::int64_t step) const;

 private:
  std::vector<std::filesystem::path> complete_ascending() const;

  std::filesystem::path folder_;
  std::int64_t keep_last_;
};

}  // namespace shine
