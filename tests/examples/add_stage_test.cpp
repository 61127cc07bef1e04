// Example of src/app/README.md: a stage of one's own, trained on the backbone of configs/tiny-text.
#include <gtest/gtest.h>

#include "checkpoint/metrics_file.h"
#include "examples/question_answers.h"
#include "shine/common/str.h"
#include "shine/text/special_tokens.h"
#include "support/paths.h"
#include "train/trainer.h"

namespace shine::test {
namespace {

std::vector<QuestionAnswer> questions(int first, int count) {
  std::vector<QuestionAnswer> items;
  for (int i = first; i < first + count; ++i) {
    const char* thing = std::array{"lamp", "rope", "coin"}[static_cast<std::size_t>(i) % 3];
    items.push_back({str("The ", thing, " was sold on day ", i, "."), str("What was sold on day ", i, "?"), thing});
  }
  return items;
}

std::vector<ValidationTrace> train_questions(const std::filesystem::path& run_dir) {
  // [stage]
  const std::filesystem::path folder = source_dir() / "configs/tiny-text/backbone";
  const std::shared_ptr<Tokenizer> tokenizer = load_tokenizer(folder);
  add_task_tokens(*tokenizer);
  Decoder decoder(read_decoder_config(folder / "config.json"), {});
  load_decoder(decoder, folder);

  HypernetworkOptions sizes;
  sizes.config.lora_rank = 2;
  sizes.config.meta_lora_rank = 8;
  sizes.config.memory_init_std = 0.05;
  sizes.config.m2p.heads = 3;
  sizes.new_tokens = tokenizer->size() - decoder.config().vocab_size;
  Hypernetwork hypernetwork(decoder, sizes);
  hypernetwork.initialise(/*seed=*/42);

  Stage stage;
  stage.name = "questions";
  stage.train = std::make_shared<QuestionAnswers>(questions(0, 12), tokenizer);
  stage.objective = std::make_shared<ShineObjective>(hypernetwork, /*with_penalty=*/false);
  const auto held_out = std::make_shared<QuestionAnswers>(questions(12, 6), tokenizer);
  stage.validation = {{"questions", held_out, stage.objective},
                      {"no LoRA", held_out, std::make_shared<LanguageModelObjective>(decoder)}};
  stage.weights = [&] { return hypernetwork.tensors(); };  // what a checkpoint keeps

  TrainerOptions options;
  options.run.dir = run_dir.string();
  options.optimizer.learning_rate = 1e-3;
  options.schedule.epochs = 2;
  options.schedule.warmup_steps = 1;
  Trainer(stage, options).run();  // steps, schedule, validation, metrics, checkpoints, resume
  // [/stage]
  return read_validation_traces(run_dir / "metrics.jsonl");
}

TEST(AddStage, TheTrainerRunsIt) {
  const TemporaryFolder folder;
  const std::vector<ValidationTrace> traces = train_questions(folder.path());
  ASSERT_EQ(traces.size(), 2U);
  EXPECT_EQ(traces[0].set, "questions");
  EXPECT_EQ(traces[0].last_step, 6);  // 12 samples, 4 a step, 2 epochs
  EXPECT_LT(traces[0].last_loss, traces[0].first_loss);
  EXPECT_EQ(traces[1].last_loss, traces[1].first_loss) << "the backbone is frozen";
  EXPECT_TRUE(std::filesystem::exists(folder.path() / "checkpoints/step-6/DONE"));
}

}  // namespace
}  // namespace shine::test
