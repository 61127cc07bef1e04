// Texts that take a careless tokenizer quadratic time: at the sizes used here that would be minutes.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <random>

#include "support/paths.h"
#include "text/bpe/bpe_model.h"
#include "text/bpe/bpe_tokenizer.h"

namespace shine {
namespace {

constexpr std::size_t kBytes = 1 << 18;
constexpr std::chrono::seconds kLimit{20};  // for a fraction of a second of work

std::string repeat(std::string_view unit, std::size_t bytes = kBytes) {
  std::string text;
  while (text.size() < bytes) text += unit;
  return text;
}

std::string random_letters() {
  std::mt19937 random(1);
  std::string text(kBytes, 'a');
  for (char& c : text) c = static_cast<char>('a' + random() % 26);
  return text;
}

std::vector<std::string> hard_texts() {
  std::vector<std::string> texts;
  for (const std::string_view unit :
       {"a",       "ab", "7",       " ",          "\n",     "\r\n",       "   \n",        "!",
        "a.",      "'",  "\u00a0",  "\U0001f600", "\u4e2d", "\u0301",     "\u0301\u0323", "\u1100\u1161\u11a8",
        "e\u0301", "<",  "<|sep|>", "<|se",       "\xff",   "<|right|> ", " <|left|>"})
    texts.push_back(repeat(unit));
  texts.push_back(std::string(kBytes, ' ') + 'a');
  texts.push_back(repeat("e\u0301 \xff"));
  texts.push_back(random_letters());
  return texts;
}

class HardTexts : public testing::TestWithParam<const char*> {};

TEST_P(HardTexts, TakeLinearTimeAndKeepOffsets) {
  const BpeTokenizer tokenizer(test::golden_dir() / "tokenizer" / (std::string(GetParam()) + ".json"));
  for (const std::string& text : hard_texts()) {
    const auto start = std::chrono::steady_clock::now();
    const Encoding encoding = tokenizer.encode(text);
    const std::string decoded = tokenizer.decode(encoding.ids);
    EXPECT_LT(std::chrono::steady_clock::now() - start, kLimit) << text.substr(0, 12);
    ASSERT_FALSE(encoding.ids.empty());
    ASSERT_EQ(encoding.offsets.size(), encoding.ids.size());
    EXPECT_EQ(encoding.offsets.back().end, text.size()) << text.substr(0, 12);
    TextSpan last;
    for (const TextSpan& span : encoding.offsets) {
      ASSERT_LE(span.begin, span.end);
      ASSERT_GE(span.begin, last.begin);
      ASSERT_LE(span.begin, last.end);  // nothing is left out
      last = span;
    }
    const bool is_ascii = std::all_of(text.begin(), text.end(), [](char c) { return c >= 0; });
    const bool has_added = text.find("|>") != std::string::npos;  // these may take white space with them
    if (is_ascii && !has_added) {
      EXPECT_EQ(decoded, text);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, HardTexts, testing::Values("qwen", "digits"),
                         [](const auto& kind) { return std::string(kind.param); });

TEST(HardTexts, OneLetterMergedAgainAndAgain) {
  BpeModelData data;
  for (int i = 0; i < 8; ++i) data.vocabulary[std::string(std::size_t{1} << i, 'a')] = i;
  for (int i = 0; i < 7; ++i) data.merges.push_back({i, i, i + 1});
  const BpeModel model(data);
  const auto start = std::chrono::steady_clock::now();
  std::vector<BpeToken> tokens;
  model.tokenize(std::string((1 << 20) + 3, 'a'), tokens);
  EXPECT_LT(std::chrono::steady_clock::now() - start, kLimit);
  ASSERT_EQ(tokens.size(), (1U << 13) + 2);
  EXPECT_EQ(tokens.back(), (BpeToken{0, (1 << 20) + 2, (1 << 20) + 3}));
}

}  // namespace
}  // namespace shine
