#pragma once

#include "shine/adapter/adapter.h"
#include "shine/app/experiment_config.h"
#include "shine/hypernetwork/hypernetwork.h"

namespace shine {

/// The adapter of stage.meta_lora_from, for the backbone in model.path. Throws what load_adapters throws, and
/// ConfigError where its rank is above hypernetwork.meta_lora_rank.
Adapter read_meta_lora_start(const ExperimentConfig& config);

/// Gives a new Meta-LoRA the delta of `adapter`: its A, B and C come first along the rank; behind them the new A stays
/// with B = 0, so that those ranks are trained as well. Throws UnsupportedError for a term C that is not zero where the
/// Meta-LoRA has none.
void start_meta_lora(Hypernetwork& hypernetwork, Adapter adapter);

}  // namespace shine
