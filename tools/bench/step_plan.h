#pragma once

#include <nlohmann/json_fwd.hpp>

#include "bench/step_report.h"
#include "shine/hypernetwork/hypernetwork.h"

namespace shine::bench {

/// Values that are trained: memory embeddings, M2P, Meta-LoRA.
std::int64_t count_trained(const Hypernetwork& hypernetwork);

/// Everything another program needs to run the same steps: the shapes of the model, the numbers of parameters, and
/// under "batches" the lengths [context, conversation] of each sample of each micro-batch of each step.
nlohmann::ordered_json step_plan(const BenchSize& size, const StepOptions& options);

}  // namespace shine::bench
