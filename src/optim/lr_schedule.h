#pragma once

#include <cstdint>

#include "shine/config/optimizer_config.h"

namespace shine {

/// The rate of optimizer step `step` (from 0) of `total_steps`: linear warm-up from 0 over warmup_steps (step 0 has
/// rate 0), then linear or cosine decay from `peak` to final_ratio * peak at total_steps.
double learning_rate_at(const ScheduleConfig& config, double peak, std::int64_t step, std::int64_t total_steps);

}  // namespace shine
