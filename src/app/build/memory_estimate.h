#pragma once

#include <c10/core/Device.h>

#include "shine/app/experiment_config.h"
#include "shine/decoder/decoder_config.h"

namespace shine {

/// Bytes that a training run needs, estimated from sizes alone.
struct MemoryEstimate {
  double frozen = 0;       ///< frozen weights
  double copies = 0;       ///< of their layers, packed for the CPU backend
  double trained = 0;      ///< trained weights, gradients, moments
  double activations = 0;  ///< the most that one pass holds, at the maximum lengths
  double snapshot = 0;     ///< main memory, while a checkpoint is written in the background
};

/// @param frozen, trained  numbers of parameters
/// @param device           that the run would use; it need not be there
/// Throws ConfigError for a memory-to-parameter network that cannot be built.
MemoryEstimate estimate_memory(const ExperimentConfig& config, const DecoderConfig& model, std::int64_t frozen,
                               std::int64_t trained, c10::DeviceType device);

}  // namespace shine
