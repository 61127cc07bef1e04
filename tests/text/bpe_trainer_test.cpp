#include "text/bpe/bpe_trainer.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "shine/common/error.h"
#include "support/paths.h"
#include "text/bpe/bpe_tokenizer.h"
#include "text/bpe/pair_learner.h"

namespace shine {
namespace {

TEST(PairLearner, MergesTheMostFrequentPairFirst) {
  // "ab" 5 times, "bc" 4 times; after ab: "abc" 3 times.
  PairLearner learner({{"abc", 3}, {"ab", 2}, {"bc", 1}});
  learner.learn(258, 1);
  const std::vector<std::string> added(learner.tokens().begin() + 256, learner.tokens().end());
  EXPECT_EQ(added, (std::vector<std::string>{"ab", "abc"}));
}

TEST(PairLearner, TiesGoToTheSmallestIds) {
  PairLearner learner({{"cd", 2}, {"ba", 2}, {"ab", 2}});
  learner.learn(400, 1);
  const std::vector<std::string> added(learner.tokens().begin() + 256, learner.tokens().end());
  EXPECT_EQ(added, (std::vector<std::string>{"ab", "ba", "cd"}));
}

TEST(PairLearner, RepeatedLettersAndRarePairs) {
  PairLearner learner({{"aaaaa", 3}, {"xy", 1}});
  learner.learn(400, 2);
  const std::vector<std::string> added(learner.tokens().begin() + 256, learner.tokens().end());
  EXPECT_EQ(added, (std::vector<std::string>{"aa", "aaa", "aaaaa"}));
}

TEST(BpeTrainer, WritesATokenizerThatReadsBack) {
  const std::vector<std::string> texts = {"the cat sat on the mat.<|im_end|>\nthe cat's hat",
                                          "Der W\u00f6rter w\u00f6rtlich 42 42"};
  const test::TemporaryFolder folder;
  const auto train = [&](const std::string& name, bool reversed) {
    BpeTrainerOptions options;
    options.vocabulary_size = 280;
    options.min_frequency = 1;
    BpeTrainer trainer(options);
    for (std::size_t i = 0; i < texts.size(); ++i) trainer.add_text(texts[reversed ? texts.size() - 1 - i : i]);
    EXPECT_EQ(trainer.write(folder.path() / name), 280);
  };
  train("a", false);
  train("b", true);
  EXPECT_EQ(test::read_bytes(folder.path() / "a/tokenizer.json"), test::read_bytes(folder.path() / "b/tokenizer.json"));

  const BpeTokenizer tokenizer(folder.path() / "a");
  EXPECT_EQ(tokenizer.size(), 280);
  EXPECT_EQ(tokenizer.token_to_id("<|endoftext|>"), 277);
  EXPECT_TRUE(tokenizer.token_to_id("\u0120the").has_value());
  for (const std::string& text : texts) {
    const Encoding encoding = tokenizer.encode(text);
    EXPECT_EQ(tokenizer.decode(encoding.ids), text);
    EXPECT_LT(encoding.ids.size(), text.size());
  }
  const auto config = nlohmann::json::parse(test::read_bytes(folder.path() / "a/tokenizer_config.json"));
  EXPECT_EQ(config["eos_token"], "<|im_end|>");
  EXPECT_EQ(config["pad_token"], "<|endoftext|>");
}

TEST(BpeTrainer, FewTextsGiveFewTokens) {
  const test::TemporaryFolder folder;
  BpeTrainer trainer({});
  trainer.add_text("abab \xff");
  EXPECT_EQ(trainer.write(folder.path()), 256 + 1 + 3);
}

TEST(BpeTrainer, RefusesOptionsThatCannotBe) {
  BpeTrainerOptions small;
  small.vocabulary_size = 258;
  EXPECT_THROW(BpeTrainer{small}, ConfigError);
  BpeTrainerOptions twice;
  twice.special_tokens = {"<a>", "<a>"};
  EXPECT_THROW(BpeTrainer{twice}, ConfigError);
  BpeTrainerOptions never;
  never.min_frequency = 0;
  EXPECT_THROW(BpeTrainer{never}, ConfigError);
}

}  // namespace
}  // namespace shine
