#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "shine/common/api.h"

namespace shine {

/// What an optimizer step took, over all ranks.
struct StepTime {
  double seconds = 0.0;
  std::int64_t tokens = 0;  ///< of contexts and conversations
};

/// Steps with samples of one length each.
struct LengthTime {
  std::int64_t context_tokens = 0, conversation_tokens = 0;  ///< of a sample; contexts: 0 where there are none
  StepTime step;                                             ///< the mean
};

/// The measurement of a stage.
struct StageTime {
  std::string device;
  int ranks = 1;
  int warmup = 0;                   ///< steps before those that count
  std::vector<StepTime> steps;      ///< of the stage's own samples, at least one
  std::vector<LengthTime> lengths;  ///< shortest first
};

/// The mean of at least one step: seconds and tokens, each by itself.
SHINE_API StepTime mean_step(const std::vector<StepTime>& steps);

/// Lines for the user: seconds a step, tokens/s, hours of a run of `run_steps` steps, and a table of lengths.
SHINE_API std::string describe_time(const StageTime& time, std::int64_t run_steps);

}  // namespace shine
