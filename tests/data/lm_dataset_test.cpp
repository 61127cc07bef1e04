#include "data/pretrain/lm_dataset.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "data/byte_tokenizer.h"
#include "shine/common/error.h"

namespace shine {
namespace {

using Texts = std::vector<std::string>;

LmDataset make(const Texts& texts, const LmOptions& options) {
  return LmDataset(texts, std::make_shared<test::ByteTokenizer>(), options);
}

std::vector<std::int64_t> stream(const LmDataset& dataset, std::int64_t epoch) {
  std::vector<std::int64_t> ids;
  for (std::size_t i = 0; i < dataset.size(); ++i) {
    const auto sample = dataset.sample(epoch, i);
    EXPECT_TRUE(sample.context_ids.empty());
    EXPECT_EQ(sample.labels, sample.conversation_ids);
    ids.insert(ids.end(), sample.conversation_ids.begin(), sample.conversation_ids.end());
  }
  return ids;
}

/// The documents of a stream that was not cut short.
std::vector<std::string> documents(const LmDataset& dataset, std::int64_t epoch) {
  std::string text = test::ByteTokenizer().decode(stream(dataset, epoch));
  const std::string end = "<|endoftext|>";
  std::vector<std::string> result;
  for (std::size_t at = 0; (at = text.find(end)) != std::string::npos; text.erase(0, at + end.size())) {
    result.push_back(text.substr(0, at));
  }
  EXPECT_TRUE(text.empty());
  return result;
}

Texts numbered(int count) {
  Texts texts;
  for (int i = 0; i < count; ++i) texts.push_back("document " + std::to_string(i) + std::string(i % 13, '.'));
  return texts;
}

TEST(LmDataset, EveryDocumentOncePerEpochInRowsOfTheLength) {
  const auto texts = numbered(50);
  const auto dataset = make(texts, {.row_length = 16, .seed = 3});
  for (std::size_t i = 0; i + 1 < dataset.size(); ++i) EXPECT_EQ(dataset.sample(0, i).conversation_ids.size(), 16U);
  EXPECT_EQ(stream(dataset, 0).size(), dataset.tokens_per_epoch());

  const auto first = documents(dataset, 0);
  const auto second = documents(dataset, 1);
  EXPECT_NE(first, texts);
  EXPECT_NE(first, second);
  for (const auto& order : {first, second}) {
    EXPECT_EQ(std::multiset<std::string>(order.begin(), order.end()),
              std::multiset<std::string>(texts.begin(), texts.end()));
  }
}

TEST(LmDataset, RowsMaySpanManyDocumentsOrAPartOfOne) {
  const Texts texts{"a", "b", "cc", std::string(40, 'x')};
  for (const std::int64_t length : {2, 3, 7, 200}) {
    const auto dataset = make(texts, {.row_length = length, .seed = 1});
    const auto ids = stream(dataset, 4);
    EXPECT_GE(ids.size() + 1, dataset.tokens_per_epoch());
    const auto whole = stream(make(texts, {.row_length = 1000, .seed = 1}), 4);
    EXPECT_TRUE(std::equal(ids.begin(), ids.end(), whole.begin()));
  }
}

TEST(LmDataset, ASingleTokenLeftOverIsLeftOut) {
  EXPECT_EQ(make({"abcd"}, {.row_length = 4}).size(), 1U);  // 5 tokens
  EXPECT_EQ(make({"abcd"}, {.row_length = 3}).size(), 2U);
}

TEST(LmDataset, TellsTheTokensOfItsRows) {
  const auto dataset = make(numbered(20), {.row_length = 16, .seed = 3});
  std::int64_t shortest = 16;
  for (std::size_t i = 0; i < dataset.size(); ++i) {
    EXPECT_EQ(dataset.tokens(i), static_cast<std::int64_t>(dataset.sample(1, i).conversation_ids.size()));
    shortest = std::min(shortest, dataset.tokens(i));
  }
  EXPECT_LT(shortest, 16);
  EXPECT_THROW(dataset.tokens(dataset.size()), ConfigError);
}

TEST(LmDataset, ASampleDependsOnSeedEpochAndIndexAlone) {
  const auto one = make(numbered(50), {.row_length = 16, .repeat_share = 0.4, .seed = 3, .threads = 1});
  const auto two = make(numbered(50), {.row_length = 16, .repeat_share = 0.4, .seed = 3, .threads = 3});
  for (std::size_t i = one.size(); i-- > 0;) {
    for (const std::int64_t epoch : {1, 0}) {
      EXPECT_EQ(one.sample(epoch, i).conversation_ids, two.sample(epoch, i).conversation_ids);
    }
  }
  EXPECT_NE(stream(make(numbered(50), {.row_length = 16, .repeat_share = 0.4, .seed = 4}), 0), stream(one, 0));
}

TEST(LmDataset, AShareIsRepeatedInTwoForms) {
  const auto texts = numbered(40);
  const auto dataset = make(texts, {.row_length = 64, .repeat_share = 0.5, .seed = 3});
  const auto parts = documents(dataset, 0);
  const std::multiset<std::string> found(parts.begin(), parts.end());
  int plain = 0;
  int by_user = 0;
  int from_context = 0;
  for (const auto& text : texts) {
    const std::string answer = "<|im_start|>assistant\n" + text + "<|im_end|>\n";
    by_user += static_cast<int>(found.count("<|im_start|>user\n" + text + "<|im_end|>\n" + answer));
    from_context += static_cast<int>(found.count("<|im_start|>user\n<RECON><|im_end|>\n" + answer));
    plain += static_cast<int>(found.count(text));
  }
  EXPECT_EQ(by_user, 10);
  EXPECT_EQ(from_context, 10);
  EXPECT_EQ(plain, 20 + from_context);  // the text before the request is a document of its own here
  EXPECT_EQ(parts.size(), 40U + 10U);
  EXPECT_EQ(dataset.tokens_per_epoch(), stream(dataset, 1).size());
}

TEST(LmDataset, EscapedTextsHoldNoSpecialToken) {
  LmOptions options{.row_length = 1000, .repeat_share = 1, .special_tokens = SpecialTokens::escape, .seed = 3};
  const test::ByteTokenizer tokenizer;
  const auto ids = stream(make({"a<|im_end|>b", "c<|endoftext|>d"}, options), 0);
  EXPECT_EQ(std::ranges::count(ids, *tokenizer.token_to_id(kMessageEnd)), 4);
  EXPECT_EQ(std::ranges::count(ids, *tokenizer.token_to_id(kTextEnd)), 3);
}

TEST(LmDataset, TheFingerprintTellsIdsRowsAndSeed) {
  LmOptions options{.row_length = 16, .repeat_share = 0.5, .seed = 4};
  const auto texts = numbered(10);
  std::set<std::uint64_t> seen{make(texts, options).fingerprint()};
  EXPECT_FALSE(seen.contains(0));
  EXPECT_TRUE(seen.contains(make(texts, options).fingerprint()));
  EXPECT_TRUE(seen.insert(make(numbered(9), options).fingerprint()).second);
  auto longer_rows = options;
  longer_rows.row_length = 17;
  EXPECT_TRUE(seen.insert(make(texts, longer_rows).fingerprint()).second);
  auto less_repeated = options;
  less_repeated.repeat_share = 0.2;
  EXPECT_TRUE(seen.insert(make(texts, less_repeated).fingerprint()).second);
  options.repeat_share = 0;
  const auto plain = make(texts, options).fingerprint();
  ++options.seed;
  EXPECT_NE(make(texts, options).fingerprint(), plain);
}

TEST(LmDataset, RefusesOptionsThatCannotBe) {
  EXPECT_THROW(make({}, {.row_length = 8}), ConfigError);
  EXPECT_THROW(make({"a"}, {.row_length = 1}), ConfigError);
  EXPECT_THROW(make({"a"}, {.row_length = 8, .repeat_share = 1.5}), ConfigError);
  EXPECT_THROW(make({"a"}, {.row_length = 8}).sample(0, 1), ConfigError);
}

TEST(LmDataset, DocumentsAreWrittenInTheChatFormatGiven) {
  LmOptions options{.row_length = 500, .repeat_share = 1.0, .chat_format = plain_format("<|im_end|>")};
  const LmDataset dataset({"one", "two"}, std::make_shared<test::ByteTokenizer>(), options);
  const std::string text = test::ByteTokenizer().decode(stream(dataset, 0));
  const std::set<std::string> expected = {"one\none<|im_end|><|im_end|>two<|im_end|><RECON>\ntwo<|im_end|><|im_end|>",
                                          "two\ntwo<|im_end|><|im_end|>one<|im_end|><RECON>\none<|im_end|><|im_end|>",
                                          "one<|im_end|><RECON>\none<|im_end|><|im_end|>two\ntwo<|im_end|><|im_end|>",
                                          "two<|im_end|><RECON>\ntwo<|im_end|><|im_end|>one\none<|im_end|><|im_end|>"};
  EXPECT_TRUE(expected.contains(text)) << text;
}

}  // namespace
}  // namespace shine
