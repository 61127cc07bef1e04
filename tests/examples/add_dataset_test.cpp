// Example of the README: a data set of one's own.
#include <gtest/gtest.h>

#include "examples/question_answers.h"
#include "shine/data/loader.h"
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
  Loader loader(dataset, Sampler(dataset->size(), /*batch_size=*/2, /*seed=*/42), /*ahead=*/4);
  const MicroBatch batch = loader.next();
  // [/loader]
  ASSERT_EQ(batch.samples.size(), 2U);
  EXPECT_EQ(loader.next().samples.size(), 1U) << "the end of the epoch";
  for (const Sample& sample : batch.samples) EXPECT_EQ(sample.labels.size(), sample.conversation_ids.size());

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
