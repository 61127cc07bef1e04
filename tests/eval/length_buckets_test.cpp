#include "eval/reconstruction/length_buckets.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "data/byte_tokenizer.h"
#include "shine/common/error.h"
#include "shine/text/message.h"

namespace shine {
namespace {

std::shared_ptr<Tokenizer> byte_tokenizer() {
  return std::make_shared<test::ByteTokenizer>();
}

PretrainOptions options_for(std::int64_t length) {
  PretrainOptions options;
  options.context_max_length = length + 20;
  options.conversation_max_length = length + 60;
  options.seed = 3;
  return options;
}

/// The text that is labelled.
std::string labelled_text(const Sample& sample, const Tokenizer& tokenizer) {
  std::vector<std::int64_t> ids;
  for (const std::int64_t label : sample.labels) {
    if (label != kIgnoredLabel) ids.push_back(label);
  }
  return tokenizer.decode(ids);
}

TEST(LengthBuckets, GoFromFirstToLast) {
  BucketConfig config;
  EXPECT_EQ(bucket_lengths(config).size(), 11U);
  config.first = 10;
  config.last = 29;
  config.step = 10;
  EXPECT_EQ(bucket_lengths(config), (std::vector<std::int64_t>{10, 20}));
  config.last = 9;
  EXPECT_THROW(bucket_lengths(config), ConfigError);
}

TEST(LengthBuckets, TextsAreCutToTheLengthOfABucket) {
  const auto tokenizer = byte_tokenizer();
  const BucketTexts texts({"123", "12345", "12345678", "12345"}, *tokenizer, {2, 4, 8}, SpecialTokens::parse, 1);
  const auto chosen = [&](std::size_t bucket) {
    auto numbers = texts.choose(bucket, 0, 7);
    std::sort(numbers.begin(), numbers.end());
    return numbers;
  };
  EXPECT_EQ(chosen(0), (std::vector<std::size_t>{0, 1, 2, 3}));
  EXPECT_EQ(chosen(1), (std::vector<std::size_t>{1, 2, 3}));
  EXPECT_EQ(chosen(2), (std::vector<std::size_t>{2}));
  EXPECT_EQ(texts.cut(1, 1), "1234");
  EXPECT_EQ(texts.cut(2, 2), "12345678");
}

TEST(LengthBuckets, TheLimitTakesTheSameTextsInEveryBucket) {
  const auto tokenizer = byte_tokenizer();
  const BucketTexts texts(std::vector<std::string>(50, "12345"), *tokenizer, {2, 4}, SpecialTokens::parse, 1);
  EXPECT_EQ(texts.choose(0, 6, 7).size(), 6U);
  EXPECT_EQ(texts.choose(0, 6, 7), texts.choose(1, 6, 7));
  EXPECT_NE(texts.choose(0, 6, 7), texts.choose(0, 6, 8));
}

TEST(LengthBuckets, LabelsAreTheTextAlone) {
  const auto tokenizer = byte_tokenizer();
  const std::string text = "one two three four five six seven eight nine ten";
  const Sample sample = bucket_sample(text, 0, PretrainTask::reconstruction, tokenizer,
                                      options_for(static_cast<std::int64_t>(text.size())));
  EXPECT_EQ(labelled_text(sample, *tokenizer), text);
  EXPECT_EQ(tokenizer->decode(sample.context_ids), text);
  EXPECT_EQ(sample.labels.size(), sample.conversation_ids.size());
}

TEST(LengthBuckets, ACutConversationKeepsTheLabelsOfItsText) {
  const auto tokenizer = byte_tokenizer();
  PretrainOptions options = options_for(10);
  const Sample whole = bucket_sample("0123456789", 0, PretrainTask::reconstruction, tokenizer, options);
  for (std::size_t missing = 1; missing < 6; ++missing) {
    options.conversation_max_length = static_cast<std::int64_t>(whole.labels.size() - missing);
    const Sample cut = bucket_sample("0123456789", 0, PretrainTask::reconstruction, tokenizer, options);
    EXPECT_EQ(cut.labels, std::vector<std::int64_t>(whole.labels.begin(), whole.labels.end() - missing)) << missing;
  }
}

TEST(LengthBuckets, CompletionTakesWordsFromTheContextByText) {
  const auto tokenizer = byte_tokenizer();
  std::string text;
  for (int i = 0; i < 100; ++i) text += "w ";
  const auto context = [&](std::size_t number) {
    return bucket_sample(text, number, PretrainTask::completion, tokenizer, options_for(200)).context_ids;
  };
  EXPECT_LT(context(0).size(), 182U);  // at most 90 words
  EXPECT_GT(context(0).size(), 138U);
  EXPECT_EQ(context(0), context(0));
  EXPECT_NE(context(0).size(), context(1).size());
}

}  // namespace
}  // namespace shine
