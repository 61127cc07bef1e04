#include "app/train/describe_time.h"

#include <algorithm>

#include "common/format.h"
#include "shine/common/str.h"

namespace shine {
namespace {

double rate(const StepTime& step) {
  return static_cast<double>(step.tokens) / step.seconds;
}

std::string counted(std::int64_t count, const char* noun) {
  return str(count, " ", noun, count == 1 ? "" : "s");
}

std::string table(const std::vector<LengthTime>& lengths) {
  std::string text = format("%16s %20s %12s %12s\n", "context tokens", "conversation tokens", "s a step", "tokens/s");
  for (const LengthTime& length : lengths) {
    const std::string context = length.context_tokens > 0 ? str(length.context_tokens) : "-";
    text += format("%16s %20lld %12.4g %12.0f\n", context.c_str(), static_cast<long long>(length.conversation_tokens),
                   length.step.seconds, rate(length.step));
  }
  return text;
}

}  // namespace

StepTime mean_step(const std::vector<StepTime>& steps) {
  double seconds = 0.0;
  std::int64_t tokens = 0;
  for (const StepTime& step : steps) {
    seconds += step.seconds;
    tokens += step.tokens;
  }
  const auto count = static_cast<std::int64_t>(steps.size());
  return {seconds / static_cast<double>(count), (tokens + count / 2) / count};
}

std::string describe_time(const StageTime& time, std::int64_t run_steps) {
  const StepTime mean = mean_step(time.steps);
  const auto [fastest, slowest] = std::ranges::minmax_element(time.steps, {}, &StepTime::seconds);
  std::string text =
      str("timed on ", time.device, ", ", time.ranks, time.ranks == 1 ? " process" : " processes", ", ",
          counted(static_cast<std::int64_t>(time.steps.size()), "step"), " after ", time.warmup, " to warm up: ");
  text += format("%.4g s a step (%.4g to %.4g), %.0f tokens/s\n", mean.seconds, fastest->seconds, slowest->seconds,
                 rate(mean));
  text += str("the run: ", counted(run_steps, "step"), run_steps == 1 ? " takes" : " take",
              format(" about %.3g hours, validation and checkpoints aside\n",
                     static_cast<double>(run_steps) * mean.seconds / 3600));
  if (!time.lengths.empty()) text += "steps in which all samples have the same length:\n" + table(time.lengths);
  return text;
}

}  // namespace shine
