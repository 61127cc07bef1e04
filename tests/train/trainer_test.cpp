#include "train/trainer.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "shine/common/error.h"
#include "support/paths.h"
#include "train/tiny_trainer.h"

namespace shine::test {
namespace {

void expect_equal_checkpoints(const std::filesystem::path& found, const std::filesystem::path& expected) {
  for (const char* file : {"trained.safetensors", "optimizer.safetensors", "random.safetensors", "config.yaml"}) {
    EXPECT_TRUE(read_text_file(found / file) == read_text_file(expected / file)) << file;
  }
  Json states[2] = {Json::parse(read_text_file(found / "state.json")),
                    Json::parse(read_text_file(expected / "state.json"))};
  for (Json& state : states) state.erase("seconds");
  EXPECT_EQ(states[0], states[1]);
}

void expect_equal_metrics(const std::filesystem::path& found, const std::filesystem::path& expected) {
  for (const char* kind : {"train", "validation", "diagnostics"}) {
    std::vector<Json> events[2] = {metrics(found, kind), metrics(expected, kind)};
    for (auto& side : events) {
      for (Json& event : side) {
        event.erase("time");
        event.erase("seconds");
        event.erase("tokens_per_second");
        event.erase("communication_seconds");
        event.erase("data_seconds");
      }
    }
    EXPECT_EQ(events[0], events[1]) << kind;
  }
}

class TrainerStages : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Stages, TrainerStages, testing::Bool(),
                         [](const auto& tested) { return std::string(tested.param ? "Shine" : "Backbone"); });

TEST_P(TrainerStages, FiveStepsAndAResumeEqualTenSteps) {
  const TemporaryFolder whole, halves;
  TrainerOptions options = options_for(whole.path());
  options.validation.every_steps = 5;
  const TrainSummary at_once = train(*make_run(GetParam()), options);
  EXPECT_EQ(at_once.progress.step, 10);
  EXPECT_EQ(at_once.progress.optimizer_steps, 10);

  options.run.dir = halves.path().string();
  options.run.max_steps = 5;
  EXPECT_EQ(train(*make_run(GetParam()), options).progress.step, 5);
  options.run.max_steps = 0;
  const auto other_weights = make_run(GetParam(), /*seed=*/2);
  const TrainSummary resumed = train(*other_weights, options);
  EXPECT_EQ(resumed.progress.step, 10);
  expect_equal_checkpoints(resumed.checkpoint, at_once.checkpoint);
  expect_equal_metrics(halves.path(), whole.path());
  EXPECT_EQ(metrics(whole.path(), "train").size(), 10U);
}

TEST_P(TrainerStages, AResumeInsideAnEpochDropsWhatWasWrittenBeyond) {
  const TemporaryFolder whole, broken;
  TrainerOptions options = options_for(whole.path());
  options.checkpoint.every_steps = 3;
  const TrainSummary at_once = train(*make_run(GetParam()), options);

  // As after a crash behind step 7: its checkpoint is lost, the metrics of step 7 exist.
  options.run.dir = broken.path().string();
  options.run.max_steps = 7;
  const TrainSummary first = train(*make_run(GetParam()), options);
  std::filesystem::remove(std::filesystem::path(first.checkpoint) / "DONE");
  EXPECT_EQ(metrics(broken.path(), "train").size(), 7U);
  options.run.max_steps = 0;
  const TrainSummary resumed = train(*make_run(GetParam(), 2), options);
  expect_equal_checkpoints(resumed.checkpoint, at_once.checkpoint);
  std::vector<Json> steps = metrics(broken.path(), "train");
  ASSERT_EQ(steps.size(), 10U);
  for (std::size_t i = 0; i < steps.size(); ++i) EXPECT_EQ(steps[i].at("step"), i + 1);
}

TEST_P(TrainerStages, TheLossOfWhatIsTrainedOnFalls) {
  const TemporaryFolder folder;
  const auto run = make_run(GetParam());
  run->stage.train = std::make_shared<TinyDataset>(2);
  run->stage.validation = {{"the training rows", run->stage.train, run->stage.objective}};
  TrainerOptions options = options_for(folder.path());
  options.schedule.epochs = 30;
  train(*run, options);
  const auto traces = read_validation_traces(folder.path() / "metrics.jsonl");
  ASSERT_EQ(traces.size(), 1U);
  EXPECT_EQ(traces[0].set, "the training rows");
  EXPECT_EQ(traces[0].first_step, 0);
  EXPECT_EQ(traces[0].last_step, 30);
  EXPECT_LT(traces[0].last_loss, traces[0].first_loss - 0.05);
}

TEST(Trainer, StepsOfTheScheduleAndOfTheRun) {
  const TemporaryFolder folder;
  const auto run = make_run(false);
  TrainerOptions options = options_for(folder.path());
  EXPECT_EQ(Trainer(run->stage, options).total_steps(), 2 * 5);  // ceil(9 / 2) an epoch
  options.run.max_steps = 3;
  EXPECT_EQ(Trainer(run->stage, options).total_steps(), 10) << "the schedule is unchanged";
  const TrainSummary summary = train(*run, options);
  EXPECT_EQ(summary.progress.step, 3);
  const auto events = metrics(folder.path(), "train");
  EXPECT_EQ(events.at(0).at("learning_rate"), 0.0);
  EXPECT_NEAR(events.at(1).at("learning_rate").get<double>(), 0.5e-2, 1e-12);
  options.run.max_steps = 99;
  EXPECT_EQ(train(*make_run(false), options).progress.step, 10);
  std::vector<std::int64_t> epochs;
  for (const Json& event : metrics(folder.path(), "train")) epochs.push_back(event.at("epoch"));
  EXPECT_EQ(epochs, (std::vector<std::int64_t>{0, 0, 0, 0, 0, 1, 1, 1, 1, 1})) << "the last step of an epoch is in it";
}

TEST(Trainer, AFinishedRunIsLeftAsItIs) {
  const TemporaryFolder folder;
  const TrainerOptions options = options_for(folder.path());
  const TrainSummary first = train(*make_run(true), options);
  const std::string before = read_text_file(folder.path() / "metrics.jsonl");
  const TrainSummary second = train(*make_run(true, 2), options);
  EXPECT_EQ(second.progress.step, 10);
  EXPECT_EQ(second.checkpoint, first.checkpoint);
  EXPECT_EQ(read_text_file(folder.path() / "metrics.jsonl"), before);
}

TEST(Trainer, ARunThatStartsAgainFromNothingHasNoLinesTwice) {
  const TemporaryFolder folder;
  const TrainerOptions options = options_for(folder.path());
  train(*make_run(true), options);
  std::filesystem::remove_all(folder.path() / "checkpoints");
  train(*make_run(true), options);
  EXPECT_EQ(metrics(folder.path(), "train").size(), 10U);
  EXPECT_EQ(metrics(folder.path(), "validation").size(), 2U);  // at the start and at the end
}

TEST(Trainer, KeepLastRemovesOlderCheckpoints) {
  const TemporaryFolder folder;
  TrainerOptions options = options_for(folder.path());
  options.checkpoint.every_steps = 2;
  options.checkpoint.keep_last = 2;
  train(*make_run(false), options);
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path() / "checkpoints")) {
    names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  EXPECT_EQ(names, (std::vector<std::string>{"step-10", "step-8"}));
}

TEST(Trainer, ResumeNeverStartsOverAndKeepsTheCheckpointThatIsThere) {
  const TemporaryFolder folder;
  TrainerOptions options = options_for(folder.path());
  const TrainSummary first = train(*make_run(false, 1), options);
  const auto weights = std::filesystem::path(first.checkpoint) / "trained.safetensors";
  const std::string before = read_text_file(weights);
  options.checkpoint.resume = ResumeMode::never;
  EXPECT_THROW(train(*make_run(false, 2), options), IoError) << "the two would be mixed";
  EXPECT_TRUE(read_text_file(weights) == before);
  EXPECT_EQ(metrics(folder.path(), "train").size(), 10U);
}

TEST(Trainer, ACheckpointOfAnotherModelOrDataIsRefused) {
  const TemporaryFolder folder;
  TrainerOptions options = options_for(folder.path());
  options.run.max_steps = 2;
  train(*make_run(false), options);
  options.run.max_steps = 4;
  EXPECT_THROW(train(*make_run(true), options), FormatError);
  const auto other_data = make_run(false);
  other_data->stage.train = std::make_shared<TinyDataset>(17);
  EXPECT_THROW(train(*other_data, options), ConfigError);
  const auto changed_texts = make_run(false);
  changed_texts->stage.train = std::make_shared<TinyDataset>(18, /*fingerprint=*/2);
  EXPECT_THROW(train(*changed_texts, options), ConfigError);
  options.run.seed = 7;
  EXPECT_THROW(train(*make_run(false), options), ConfigError);
}

/// Samples that take their time.
class SlowDataset : public TinyDataset {
 public:
  using TinyDataset::TinyDataset;
  Sample sample(std::int64_t epoch, std::size_t index) const override {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return TinyDataset::sample(epoch, index);
  }
};

TEST(Trainer, ATimeLimitStopsARunThatThenGoesOn) {
  const TemporaryFolder whole, limited;
  TrainerOptions options = options_for(whole.path());
  const TrainSummary at_once = train(*make_run(true), options);
  EXPECT_EQ(at_once.stopped_by, "");

  options.run.dir = limited.path().string();
  options.run.max_minutes = 0.4 / 60;  // half of what the samples alone take
  options.started = std::chrono::steady_clock::now();
  const auto slow = make_run(true);
  slow->stage.train = std::make_shared<SlowDataset>(18);
  const TrainSummary first = train(*slow, options);
  EXPECT_EQ(first.stopped_by, "run.max_minutes");
  EXPECT_LT(first.progress.step, 10);
  options.run.max_minutes = 0;
  expect_equal_checkpoints(train(*make_run(true, 2), options).checkpoint, at_once.checkpoint);
}

TEST(Trainer, AStopBetweenAStepAndItsValidationLosesNothing) {
  const TemporaryFolder whole, stopped;
  TrainerOptions options = options_for(whole.path());
  options.validation.every_steps = 2;
  const TrainSummary at_once = train(*make_run(true), options);

  options.run.dir = stopped.path().string();
  bool stop = false;
  const auto run = make_run(true);
  options.stop_reason = [&] { return stop ? "a test" : ""; };
  class Stopping : public TinyDataset {
   public:
    Stopping(std::size_t size, bool& stop) : TinyDataset(size), stop_(stop) {}
    Sample sample(std::int64_t epoch, std::size_t index) const override {
      if (++calls_ > 5 && index == 2) stop_ = true;  // in the second validation
      return TinyDataset::sample(epoch, index);
    }
    mutable int calls_ = 0;
    bool& stop_;
  };
  run->stage.validation = {{"held out", std::make_shared<Stopping>(5, stop), run->stage.objective}};
  const TrainSummary cut = train(*run, options);
  EXPECT_EQ(cut.stopped_by, "a test");
  EXPECT_EQ(cut.progress.step, 2);
  EXPECT_EQ(cut.progress.validated_step, 0);
  options.stop_reason = nullptr;
  expect_equal_checkpoints(train(*make_run(true, 2), options).checkpoint, at_once.checkpoint);
  expect_equal_metrics(stopped.path(), whole.path());
}

TEST(Trainer, WritesDiagnosticsAtEveryValidationOrNever) {
  const TemporaryFolder with, without;
  TrainerOptions options = options_for(with.path());
  options.validation.every_steps = 4;
  train(*make_run(true), options);
  std::vector<std::int64_t> steps;
  for (const Json& event : metrics(with.path(), "diagnostics")) steps.push_back(event.at("step"));
  EXPECT_EQ(steps, (std::vector<std::int64_t>{0, 4, 8, 10}));
  options.run.dir = without.path().string();
  options.validation.diagnostics = false;
  train(*make_run(true), options);
  EXPECT_TRUE(metrics(without.path(), "diagnostics").empty());
}

TEST(Trainer, OnAnotherNumberOfThreadsADeterministicRunIsRefused) {
  const TemporaryFolder folder;
  TrainerOptions options = options_for(folder.path());
  options.run.max_steps = 2;
  train(*make_run(false), options);
  const int threads = at::get_num_threads();
  at::set_num_threads(threads + 1);
  options.run.max_steps = 4;
  options.run.deterministic = true;
  EXPECT_THROW(train(*make_run(false), options), ConfigError);
  options.run.deterministic = false;
  EXPECT_EQ(train(*make_run(false), options).progress.step, 4);
  at::set_num_threads(threads);
}

TEST(Trainer, CountsDroppedMicroBatchesAndSkippedSteps) {
  class Unlabelled : public TinyDataset {
   public:
    using TinyDataset::TinyDataset;
    Sample sample(std::int64_t epoch, std::size_t index) const override {
      Sample sample = TinyDataset::sample(epoch, index);
      if (epoch == 0) sample.labels.assign(sample.labels.size(), -100);
      return sample;
    }
  };
  const TemporaryFolder folder;
  const auto run = make_run(false);
  run->stage.train = std::make_shared<Unlabelled>(18);
  const TrainSummary summary = train(*run, options_for(folder.path()));
  EXPECT_EQ(summary.progress.dropped, 9);
  EXPECT_EQ(summary.progress.skipped, 5);
  EXPECT_EQ(summary.progress.step, 10);
  EXPECT_EQ(summary.progress.optimizer_steps, 5);
  const auto events = metrics(folder.path(), "train");
  EXPECT_EQ(events.at(0).at("skipped"), true);
  EXPECT_EQ(events.at(0).at("dropped_micro_batches"), 2);
  EXPECT_EQ(events.at(9).at("skipped"), false);
}

TEST(Trainer, MetricsNameTheGroupsAndTheMemoryEmbeddings) {
  const TemporaryFolder folder;
  TrainerOptions options = options_for(folder.path());
  options.run.max_steps = 4;
  options.logging.every_steps = 2;
  train(*make_run(true), options);
  const auto events = metrics(folder.path(), "train");
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].at("step"), 2);
  const Json& norms = events[0].at("gradient_norms");
  for (const char* name : {"m2p", "m2p_no_decay", "meta_lora", "undecayed", "mem_tokens"}) {
    EXPECT_GT(norms.at(name).get<double>(), 0.0) << name;
  }
  EXPECT_GT(events[0].at("adapter_penalty").get<double>(), 0.0);
}

TEST(Validation, DoesNotDependOnTheBatchSize) {
  const auto run = make_run(true);
  const ValidationSet set{"held out", std::make_shared<TinyDataset>(7), run->stage.objective};
  const auto alone = single_process();
  const ValidationResult single = *validate(set, {.max_samples = 100, .batch_size = 1}, *alone);
  EXPECT_EQ(single.samples, 7);
  EXPECT_EQ(single.name, "held out");
  double sum = 0.0;
  std::int64_t labels = 0;
  for (std::size_t i = 0; i < 7; ++i) {
    const ModelBatch batch = make_model_batch({set.dataset->sample(0, i)}, at::kCPU);
    sum += run->stage.objective->forward(batch).losses.sum().item<double>();
    labels += batch.labelled.count();
  }
  EXPECT_NEAR(single.loss, sum / static_cast<double>(labels), 1e-9);
  EXPECT_EQ(single.labels, labels);
  for (const std::int64_t size : {2, 3, 7, 50}) {
    const ValidationResult other = *validate(set, {.max_samples = 100, .batch_size = size}, *alone);
    EXPECT_NEAR(other.loss, single.loss, 1e-6) << size;
    EXPECT_EQ(other.labels, single.labels);
    EXPECT_EQ(other.samples, 7);
  }
  EXPECT_EQ(validate(set, {.max_samples = 4, .batch_size = 3}, *alone)->samples, 4);
  EXPECT_FALSE(validate(set, {.stop = [] { return true; }}, *alone));
}

}  // namespace
}  // namespace shine::test
