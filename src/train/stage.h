#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lora/lora_diagnostics.h"
#include "shine/train/train_step.h"
#include "train/validation.h"

namespace shine {

/// What became of the data of one set: samples, what was dropped or cut, by name.
struct DataCounts {
  std::string set;
  std::vector<std::pair<std::string, std::int64_t>> counts;
};

/// What is trained on what: the trainer knows no stage by name.
struct Stage {
  std::string name;
  std::shared_ptr<const Dataset> train;
  std::vector<ValidationSet> validation;
  std::shared_ptr<const Objective> objective;
  PenaltyConfig penalty;
  std::uint64_t frozen_fingerprint = 0;  ///< of weights that are read and not trained, by which a resume notices others
  std::vector<DataCounts> data_counts;   ///< written into the metrics once, at the beginning of the run
  /// All weights a checkpoint keeps, frozen ones of the hypernetwork too.
  std::function<std::vector<std::pair<std::string, at::Tensor>>()> weights;
  /// Compares the LoRAs generated for held-out contexts, each rank some of them; nothing on any rank where `stop`,
  /// asked between batches, says so. Absent where none are generated.
  std::function<std::optional<LoraDiagnostics>(ProcessGroup& ranks, const std::function<bool()>& stop)> diagnostics;
};

}  // namespace shine
