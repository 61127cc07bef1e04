#include "app/train/describe_plan.h"

#include <algorithm>

#include "common/format.h"
#include "data/sampling/sampler.h"
#include "shine/common/str.h"
#include "shine/config/enum_names.h"

namespace shine {
namespace {

std::string counted(std::int64_t count, const std::string& noun) {
  return str(count, " ", noun, count == 1 ? "" : "s");
}

/// @param total  steps of the schedule
/// @param last   the step that the run ends with
std::string describe_rate(const ExperimentConfig& config, std::int64_t total, std::int64_t last) {
  const std::int64_t warmup = config.schedule.warmup_steps;
  const double peak = config.optimizer.learning_rate;
  std::string text = "learning rate: ";
  if (warmup > 0) {
    text += format("rises to %.3g in ", peak) + counted(warmup, "warm-up step") +
            format(", %.0f %% of the schedule, ", 100.0 * static_cast<double>(warmup) / static_cast<double>(total));
    if (warmup >= last) return text + str("which the run ends before (lower schedule.warmup_steps, or train longer)\n");
    text += "then ";
  } else {
    text += format("begins at %.3g and ", peak);
  }
  return text + "falls (" + std::string(enum_name(config.schedule.kind)) +
         format(") to %.3g\n", peak * config.schedule.final_ratio);
}

}  // namespace

PlannedSteps plan_steps(const ExperimentConfig& config, std::size_t samples) {
  SamplerOptions options;
  options.batch_size = static_cast<std::size_t>(config.optimizer.batch_size);
  options.accumulation = static_cast<std::size_t>(config.optimizer.accumulation);
  options.computed_order = true;  // an epoch has as many steps in any order, and this one takes no memory
  const auto epoch = static_cast<std::int64_t>(Sampler(samples, options).steps_per_epoch());
  const std::int64_t total = epoch * config.schedule.epochs;
  return {epoch, total, config.run.max_steps > 0 ? std::min(config.run.max_steps, total) : total};
}

std::string describe_plan(const ExperimentConfig& config, const Dataset& samples) {
  std::int64_t tokens = 0;
  for (std::size_t i = 0; i < samples.size(); ++i) tokens += samples.tokens(i);
  const auto size = static_cast<std::int64_t>(samples.size());
  const auto [epoch, total, last] = plan_steps(config, samples.size());

  std::string text = str("an epoch: ", counted(size, "sample"), " of about ", (tokens + size / 2) / size,
                         " tokens, context and conversation together, ", tokens, " in all\n");
  text += str("a step: ", counted(config.optimizer.batch_size * config.optimizer.accumulation, "sample"), " (",
              config.optimizer.accumulation, config.optimizer.accumulation == 1 ? " micro-batch" : " micro-batches",
              " of ", config.optimizer.batch_size, ")\n");
  text += str("the run: ", counted(epoch, "step"), " an epoch, ", counted(config.schedule.epochs, "epoch"), ", ",
              counted(total, "step"), ", about ", tokens * config.schedule.epochs, " tokens");
  if (last < total) text += str("; it ends after step ", last, " (run.max_steps)");
  return text + "\n" + describe_rate(config, total, last);
}

}  // namespace shine
