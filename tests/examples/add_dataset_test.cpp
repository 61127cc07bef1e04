// Example of src/data/README.md: a data set of one's own.
#include <gtest/gtest.h>

#include "data/sampling/loader.h"
#include "examples/question_answers.h"
#include "shine/text/special_tokens.h"
#include "support/paths.h"

namespace shine::test {
namespace {

TEST(AddDataset, ALoaderGivesItsSamplesInBatches) {
  const std::vector<QuestionAnswer> items{{"Ada is a nurse.", "What is Ada?", "A nurse"},
                                          {"Bo sold a lamp.", "What did Bo sell?", "A lamp"},
                                          {"Cy lives in Oslo.", "Where does Cy live?", "In Oslo"}};
  // [loader]
  const std::shared_ptr<Tokenizer> tokenizer = load_tokenizer(source_dir() / "configs/tiny-text/backbone");
  add_task_tokens(*tokenizer);
  const auto dataset = std::make_shared<QuestionAnswers>(items, tokenizer);
  Loader loader(dataset, Sampler(dataset->size(), {.batch_size = 2, .accumulation = 4, .seed = 42}), {});
  const StepBatches step = loader.next();  // up to 4 micro-batches of 2 samples
  // [/loader]
  ASSERT_EQ(step.micro_batches.size(), 2U) << "the end of the epoch";
  ASSERT_EQ(step.micro_batches[0].size(), 2U);
  EXPECT_EQ(step.micro_batches[1].size(), 1U);
  for (const Sample& sample : step.micro_batches[0]) {
    EXPECT_EQ(sample.labels.size(), sample.conversation_ids.size());
  }

  const Sample first = dataset->sample(0, 0);
  EXPECT_EQ(tokenizer->decode(first.context_ids), "Ada is a nurse.");
  std::vector<std::int64_t> trained;
  for (const std::int64_t label : first.labels) {
    if (label != kIgnoredLabel) trained.push_back(label);
  }
  EXPECT_EQ(tokenizer->decode(trained), "A nurse<|im_end|>\n");

  auto changed = items;
  changed[1].answer = "A rope";
  EXPECT_NE(QuestionAnswers(changed, tokenizer).fingerprint(), dataset->fingerprint());
}

}  // namespace
}  // namespace shine::test
