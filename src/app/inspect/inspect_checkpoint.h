#pragma once

#include <string>
#include <vector>

#include "app/adapt/context_ids.h"
#include "app/inspect/inspection.h"
#include "shine/app/builders.h"
#include "shine/common/api.h"

namespace shine {

/// Counts and norms of a checkpoint's tensors by part: per layer of the M2P, and over all decoder layers for each
/// tensor of the Meta-LoRA. Needs only the tensors.
SHINE_API std::vector<PartStatistics> part_statistics(const RawTensorDict& tensors);

/// Generates the LoRA of every text, cut to evaluation.context_max_length tokens, and measures it: fills contexts,
/// deltas and diagnostics. Throws ConfigError for a text without a token, or one that is longer than the backbone's
/// positions with the memory tokens, and for a stage that generates no LoRA.
SHINE_API void inspect_loras(const Experiment& experiment, const std::vector<NamedText>& texts, Inspection& inspection);

/// The configuration to inspect a checkpoint with: `file`, where it is not empty, else the checkpoint's own.
/// Throws ConfigError where there is none, and what load_experiment_config throws.
SHINE_API ExperimentConfig inspection_config(const WeightsSource& source, const std::filesystem::path& file,
                                             const std::vector<std::string>& overrides);

}  // namespace shine
