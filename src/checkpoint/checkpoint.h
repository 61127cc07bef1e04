#pragma once

#include <filesystem>
#include <string>

#include "checkpoint/train_progress.h"
#include "shine/common/api.h"
#include "shine/tensor/raw_tensor.h"

namespace shine {

/// A training state: all that a run needs to continue as if it had not stopped.
struct CheckpointContents {
  NamedRawTensors weights;  ///< trained tensors, and frozen ones of the hypernetwork
  NamedRawTensors moments;  ///< of the optimizer
  NamedRawTensors random;   ///< generator states of LibTorch, by device
  TrainProgress progress;
  Provenance made_by;
  std::string config_yaml;  ///< the resolved configuration
  std::string metrics;      ///< metrics.jsonl so far
};

/// A checkpoint that was read; its tensors are views of mapped files.
struct Checkpoint {
  RawTensorDict weights, moments, random;
  TrainProgress progress;
  Provenance made_by;
  std::string metrics;
};

/// A checkpoint is a folder: trained.safetensors, optimizer.safetensors, random.safetensors, state.json, config.yaml,
/// metrics.jsonl and the mark DONE with the checksum of each; without the mark it does not count. Written under a
/// temporary name, synced and renamed (see FolderWriter). Throws IoError.
void save_checkpoint(const std::filesystem::path& folder, const CheckpointContents& contents);

/// The state as text, as rank 0 sends it to the others, and back.
std::string progress_text(const TrainProgress& progress);
TrainProgress parse_progress(const std::string& text);

/// Everything, after comparing all checksums. Throws IoError, FormatError (incomplete or damaged folder, with the
/// file's name) or UnsupportedError (written by a later format version).
Checkpoint read_checkpoint(const std::filesystem::path& folder);

/// Only the weights, after comparing their checksum. Throws as read_checkpoint.
RawTensorDict read_checkpoint_weights(const std::filesystem::path& folder);

/// Only the state, after comparing its checksum. Throws as read_checkpoint.
SHINE_API TrainProgress read_checkpoint_progress(const std::filesystem::path& folder);
Provenance read_checkpoint_provenance(const std::filesystem::path& folder);

}  // namespace shine
