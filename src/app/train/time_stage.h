#pragma once

#include <cstdint>
#include <memory>

#include "app/train/describe_time.h"
#include "shine/app/builders.h"
#include "shine/common/api.h"
#include "shine/data/sample.h"
#include "shine/distributed/process_group.h"

namespace shine {

/// Takes a few optimizer steps of a built experiment as a run would, on its device and with its batches, and measures
/// them: of the stage's own samples in their order, and of samples drawn out to a quarter, half and all of
/// text.context_max_length (stage backbone: of text.conversation_max_length), with conversations of the maximum length.
/// The learning rate is 0, so the weights stay as they are, and no file is written. Every rank calls; seconds are those
/// of the slowest. Throws what a step throws.
SHINE_API StageTime time_stage(const Experiment& experiment, const std::shared_ptr<ProcessGroup>& ranks);

/// A sample of these lengths, made by repeating another one's tokens and labels. A part of which it has no token stays
/// empty.
SHINE_API Sample stretched(const Sample& sample, std::int64_t context_tokens, std::int64_t conversation_tokens);

}  // namespace shine
