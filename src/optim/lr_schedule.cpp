#include "optim/lr_schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace shine {

double learning_rate_at(const ScheduleConfig& config, double peak, std::int64_t step, std::int64_t total_steps) {
  const auto warmup = config.warmup_steps;
  if (step < warmup) return peak * static_cast<double>(step) / static_cast<double>(std::max<std::int64_t>(1, warmup));
  const auto span = static_cast<double>(std::max<std::int64_t>(1, total_steps - warmup));
  const double left = std::clamp(static_cast<double>(total_steps - step) / span, 0.0, 1.0);
  const double shape = config.kind == ScheduleKind::linear ? left : 0.5 * (1.0 - std::cos(std::numbers::pi * left));
  return peak * (config.final_ratio + (1.0 - config.final_ratio) * shape);
}

}  // namespace shine
