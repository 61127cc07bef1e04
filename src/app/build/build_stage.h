#pragma once

#include "shine/app/builders.h"

namespace shine {

/// Datasets and objective of the configured stage; the experiment's models must be built.
Stage build_stage(const Experiment& experiment);

/// Bytes that a training run needs, estimated from sizes alone.
struct MemoryEstimate {
  double frozen = 0;       ///< frozen weights
  double copies = 0;       ///< of their layers, for the CPU backend
  double trained = 0;      ///< trained weights, gradients, moments
  double activations = 0;  ///< of one micro-batch at the maximum lengths
  double snapshot = 0;     ///< main memory, while a checkpoint is written in the background
};

/// @param frozen, trained  numbers of parameters
MemoryEstimate estimate_memory(const ExperimentConfig& config, const DecoderConfig& model, std::int64_t frozen,
                               std::int64_t trained);

}  // namespace shine
