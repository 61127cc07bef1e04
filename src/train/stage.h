#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lora/lora_diagnostics.h"
#include "shine/tensor/named_tensor.h"
#include "shine/train/train_step.h"
#include "train/validation.h"

namespace shine {

/// Counts of one data set by name: samples, and what was dropped or cut.
struct DataCounts {
  std::string set;
  std::vector<std::pair<std::string, std::int64_t>> counts;
};

/// What is trained, and on what; the trainer knows no stage by name.
struct Stage {
  std::string name;
  std::shared_ptr<const Dataset> train;
  std::vector<ValidationSet> validation;
  std::shared_ptr<const Objective> objective;
  PenaltyConfig penalty;
  std::uint64_t frozen_fingerprint = 0;  ///< of the weights that are not trained: a resume must find the same
  std::vector<DataCounts> data_counts;   ///< written into the metrics once, at the beginning of the run
  /// All weights in a checkpoint, the hypernetwork's frozen ones included.
  std::function<std::vector<NamedTensor>()> weights;
  /// Compares the LoRAs generated for held-out contexts, shared out over the ranks; nothing, on every rank, if `stop`,
  /// called between batches, is true. Absent where no LoRA is generated.
  std::function<std::optional<LoraDiagnostics>(ProcessGroup& ranks, const std::function<bool()>& stop)> diagnostics;
};

}  // namespace shine
