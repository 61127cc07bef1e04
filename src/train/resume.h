#pragma once

#include <memory>
#include <string>

#include "shine/optim/adamw.h"
#include "train/trainer.h"

namespace shine {

/// All that a resume needs; between steps equal on every rank, except for sharded moments.
struct TrainState {
  TrainState(const Stage& stage, const OptimizerConfig& config, std::shared_ptr<ProcessGroup> ranks);

  decltype(Stage::weights) weights;
  AdamW optimizer;
  TrainProgress progress;
};

/// Sets state, sampler and LibTorch's generators to those of a new run or of the run's newest intact checkpoint. Every
/// rank calls and gets everything from the first. Throws as Trainer's constructor.
/// @return the checkpoint's lines of metrics.jsonl, on the first rank; "" for a new run
std::string resume(TrainState& state, Sampler& sampler, const Stage& stage, const TrainerOptions& options,
                   const CheckpointStore& store);

/// What the first rank saves, but for the metrics; every rank calls, the others get nothing.
/// @param copies  copy all tensors, so that training can continue while they are written
CheckpointContents checkpoint_of(const TrainState& state, const TrainerOptions& options, bool copies);

}  // namespace shine
