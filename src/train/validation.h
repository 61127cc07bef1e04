#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "shine/distributed/process_group.h"
#include "shine/train/objective.h"

namespace shine {

/// A held-out set, the name its metrics carry, and how it is scored.
struct ValidationSet {
  std::string name;
  std::shared_ptr<const Dataset> dataset;
  std::shared_ptr<const Objective> objective;
};

struct ValidationResult {
  std::string name;
  double loss = 0.0;  ///< mean cross-entropy over all labelled tokens; NaN where there are none
  std::int64_t labels = 0;
  std::int64_t samples = 0;
};

struct ValidationOptions {
  std::int64_t max_samples = 100;
  std::int64_t batch_size = 1;
  at::Device device = at::kCPU;
  std::function<bool()> stop{};  ///< asked between batches; may be absent
};

/// The loss over the first `max_samples` samples of epoch 0; nothing is trained. Rank b % size scores batch b, and
/// every rank gets the result, whose bits do not depend on the number of ranks. Nothing, on every rank, if any was
/// asked to stop.
std::optional<ValidationResult> validate(const ValidationSet& set, const ValidationOptions& options,
                                         ProcessGroup& group);

}  // namespace shine
