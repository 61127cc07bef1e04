#pragma once

#include <memory>
#include <string>
#include <vector>

#include "shine/data/dataset.h"
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

/// The loss over the first `max_samples` samples of epoch 0, `batch_size` at a time; nothing is trained.
ValidationResult validate(const ValidationSet& set, std::int64_t max_samples, std::int64_t batch_size,
                          at::Device device);

}  // namespace shine
