#include "app/train/time_stage.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "app/train/trainer_options.h"
#include "common/timer.h"
#include "shine/common/error.h"
#include "shine/optim/adamw.h"
#include "shine/train/train_step.h"
#include "tensor/peak_memory.h"
#include "train/stage.h"

namespace shine {
namespace {

using MicroBatches = std::vector<std::vector<Sample>>;

constexpr int kWarmup = 1;
constexpr int kSteps = 4;
constexpr int kStepsOfALength = 2;

class StageTimer {
 public:
  StageTimer(const Experiment& experiment, const TrainerOptions& options, std::shared_ptr<ProcessGroup> ranks)
      : stage_(*experiment.stage),
        options_(options),
        optimizer_(make_param_groups(stage_.objective->trained(), options.optimizer), options.optimizer,
                   std::move(ranks)) {}

  /// One step, the making of its samples included.
  StepTime step(const std::function<MicroBatches()>& next) {
    synchronize(options_.device);
    const Timer timer;
    std::vector<ModelBatch> batches;
    for (const std::vector<Sample>& samples : next()) {
      batches.push_back(make_model_batch(samples, options_.device, stage_.objective->softmax_size()));
    }
    TrainStep step(*stage_.objective, optimizer_, options_.optimizer, stage_.penalty);
    const StepResult result = step.run(batches, /*learning_rate=*/0.0);
    synchronize(options_.device);
    const at::Tensor seconds = at::full({1}, timer.seconds(), at::kDouble);
    optimizer_.ranks().all_reduce(seconds, Reduction::maximum);
    return {seconds.item<double>(), result.tokens};
  }

  std::vector<StepTime> steps(int count, const std::function<MicroBatches()>& next) {
    for (int i = 0; i < kWarmup; ++i) step(next);
    std::vector<StepTime> times;
    for (int i = 0; i < count; ++i) times.push_back(step(next));
    return times;
  }

 private:
  const Stage& stage_;
  const TrainerOptions& options_;
  AdamW optimizer_;
};

/// This rank's share of a step's micro-batches, all made of one sample.
MicroBatches repeated(const Sample& sample, const OptimizerConfig& config, const ProcessGroup& ranks) {
  const std::int64_t share =
      config.accumulation / ranks.size() + (ranks.rank() < config.accumulation % ranks.size() ? 1 : 0);
  const std::vector<Sample> batch(static_cast<std::size_t>(config.batch_size), sample);
  return MicroBatches(static_cast<std::size_t>(share), batch);
}

std::vector<std::int64_t> parts_of(std::int64_t longest) {
  std::vector<std::int64_t> lengths;
  for (const std::int64_t part : {4, 2, 1}) {
    const std::int64_t length = std::max<std::int64_t>(longest / part, 1);
    if (lengths.empty() || length > lengths.back()) lengths.push_back(length);
  }
  return lengths;
}

std::vector<std::int64_t> repeat(const std::vector<std::int64_t>& values, std::int64_t length) {
  if (values.empty()) return {};
  std::vector<std::int64_t> longer(static_cast<std::size_t>(length));
  for (std::size_t i = 0; i < longer.size(); ++i) longer[i] = values[i % values.size()];
  return longer;
}

}  // namespace

Sample stretched(const Sample& sample, std::int64_t context_tokens, std::int64_t conversation_tokens) {
  return {.context_ids = repeat(sample.context_ids, context_tokens),
          .conversation_ids = repeat(sample.conversation_ids, conversation_tokens),
          .labels = repeat(sample.labels, conversation_tokens)};
}

StageTime time_stage(const Experiment& experiment, const std::shared_ptr<ProcessGroup>& ranks) {
  SHINE_CHECK(experiment.stage, ConfigError, "there is no stage to time (build_experiment makes one)");
  const TrainerOptions options = trainer_options(experiment.config, experiment.device);
  const std::shared_ptr<const Dataset>& samples = experiment.stage->train;
  StageTimer timer(experiment, options, ranks);
  StageTime time{experiment.device.str(), ranks->size(), kWarmup, {}, {}};
  {
    Loader loader(samples, make_sampler(*samples, options),
                  {.rank = ranks->rank(), .ranks = ranks->size(), .threads = options.loader_threads});
    time.steps = timer.steps(kSteps, [&] { return loader.next().micro_batches; });
  }
  const TextConfig& text = experiment.config.text;
  const Sample first = samples->sample(/*epoch=*/0, /*index=*/0);
  const bool has_context = !first.context_ids.empty();
  for (const std::int64_t length : parts_of(has_context ? text.context_max_length : text.conversation_max_length)) {
    LengthTime at_length{has_context ? length : 0, has_context ? text.conversation_max_length : length, {}};
    const Sample sample = stretched(first, length, at_length.conversation_tokens);
    const auto next = [&] { return repeated(sample, options.optimizer, *ranks); };
    at_length.step = mean_step(timer.steps(kStepsOfALength, next));
    time.lengths.push_back(at_length);
  }
  return time;
}

}  // namespace shine
