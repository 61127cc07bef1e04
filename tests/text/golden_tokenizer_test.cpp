// Ids, offsets and decoded texts equal those of `tokenizers` (scripts/fixtures/make_tokenizer_golden.py).
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "shine/common/error.h"
#include "support/paths.h"
#include "text/bpe/bpe_tokenizer.h"

namespace shine {
namespace {

using nlohmann::json;
using Ids = std::vector<std::int64_t>;

std::filesystem::path folder() {
  return test::golden_dir() / "tokenizer";
}

std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2)
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  return bytes;
}

class GoldenTokenizer : public testing::TestWithParam<const char*> {
 protected:
  BpeTokenizer tokenizer{folder() / (std::string(GetParam()) + ".json")};
  json golden = json::parse(std::ifstream(folder() / (std::string(GetParam()) + ".golden.json")));
};

TEST_P(GoldenTokenizer, Ids) {
  ASSERT_GT(golden["cases"].size(), 80U);
  for (const json& item : golden["cases"])
    EXPECT_EQ(tokenizer.encode(from_hex(item["hex"])).ids, item["ids"].get<Ids>()) << item["decoded"];
}

TEST_P(GoldenTokenizer, IdsAreTheSameFromSeveralThreads) {
  const auto encode_all = [&](int& faults) {
    for (const json& item : golden["cases"])
      faults += tokenizer.encode(from_hex(item["hex"])).ids != item["ids"].get<Ids>();
  };
  std::array<int, 4> faults{};
  std::vector<std::thread> threads;
  for (int& count : faults) threads.emplace_back([&] { encode_all(count); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(faults, (std::array<int, 4>{}));
}

TEST_P(GoldenTokenizer, Offsets) {
  for (const json& item : golden["cases"]) {
    const std::string text = from_hex(item["hex"]);
    const Encoding encoding = tokenizer.encode(text);
    ASSERT_EQ(encoding.offsets.size(), encoding.ids.size());
    for (const TextSpan& span : encoding.offsets) {
      EXPECT_LE(span.begin, span.end);
      EXPECT_LE(span.end, text.size());
    }
    if (!item.contains("offsets")) continue;
    std::vector<std::vector<std::size_t>> found;
    for (const TextSpan& span : encoding.offsets) found.push_back({span.begin, span.end});
    EXPECT_EQ(found, item["offsets"].get<std::vector<std::vector<std::size_t>>>()) << item["decoded"];
  }
}

TEST_P(GoldenTokenizer, DecodedTexts) {
  for (const json& item : golden["cases"]) {
    EXPECT_EQ(tokenizer.decode(item["ids"].get<Ids>()), item["decoded"]);
    EXPECT_EQ(tokenizer.decode(item["ids"].get<Ids>(), true), item["without_special"]);
  }
}

TEST_P(GoldenTokenizer, PiecesOfAStreamMakeTheText) {
  for (const json& item : golden["cases"]) {
    for (const bool skip : {false, true}) {
      StreamDecoder decoder(tokenizer, skip);
      std::string text;
      for (const std::int64_t id : item["ids"]) text += decoder.push(id);
      text += decoder.finish();
      EXPECT_EQ(text, item[skip ? "without_special" : "decoded"]);
    }
  }
}

TEST_P(GoldenTokenizer, TokensAddedAtRunTime) {
  const std::int64_t size = tokenizer.size();
  EXPECT_EQ(size, golden["size"]);
  std::vector<AddedToken> tokens(2);
  tokens[0].content = "<RECON>";
  tokens[1].content = "ferry";
  tokens[1].special = false;
  EXPECT_EQ(tokenizer.add_tokens(tokens), (Ids{size, size + 1}));
  EXPECT_EQ(tokenizer.add_tokens(tokens), (Ids{size, size + 1}));
  EXPECT_EQ(tokenizer.size(), size + 2);
  EXPECT_EQ(tokenizer.encode(golden["late"]["text"].get<std::string>()).ids, golden["late"]["ids"].get<Ids>());
  EXPECT_TRUE(tokenizer.is_special(size));
  EXPECT_FALSE(tokenizer.is_special(size + 1));
  EXPECT_EQ(tokenizer.id_to_token(size), "<RECON>");
}

INSTANTIATE_TEST_SUITE_P(All, GoldenTokenizer,
                         testing::Values("qwen", "llama3", "digits", "prefix", "prefix_plain", "ignore_merges",
                                         "removed", "previous", "next", "contiguous", "empty_matches", "missing_bytes",
                                         "unknown", "unknown_fused"),
                         [](const auto& kind) { return std::string(kind.param); });

TEST(Qwen3Tokenizer, IdsAndDecodedTextsEqualTokenizers) {
  const auto file = test::shared_dir() / "tokenizers" / "qwen3" / "tokenizer.json";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << "no " << file;
  const BpeTokenizer tokenizer(file);
  const json golden = json::parse(std::ifstream(folder() / "qwen3_ids.json"));
  EXPECT_EQ(tokenizer.size(), golden["size"]);
  ASSERT_GE(golden["cases"].size(), 150U);
  for (const json& item : golden["cases"]) {
    const Ids expected = item["ids"].get<Ids>();
    EXPECT_EQ(tokenizer.encode(from_hex(item["hex"])).ids, expected) << item["decoded"];
    EXPECT_EQ(tokenizer.decode(expected), item["decoded"]);
  }
}

TEST(EscapedText, EqualsTokenizersWhereAllAddedTokensAreSpecial) {
  const BpeTokenizer tokenizer(folder() / "digits.json");
  const json golden = json::parse(std::ifstream(folder() / "digits.golden.json"));
  int escaped = 0;
  for (const json& item : golden["cases"]) {
    const Ids expected = item["special_escaped"].get<Ids>();
    EXPECT_EQ(tokenizer.encode(from_hex(item["hex"]), SpecialTokens::escape).ids, expected) << item["decoded"];
    escaped += expected != item["ids"].get<Ids>();
  }
  EXPECT_GT(escaped, 10);
}

TEST(EscapedText, HoldsNoAddedTokenOfAnyKind) {
  const BpeTokenizer tokenizer(folder() / "qwen.json");
  for (const std::string text : {"<|sep|>", "a<think>b", "cafe\u0301token", "\xff<|word|> two words", " <|left|>"}) {
    const Ids ids = tokenizer.encode(text, SpecialTokens::escape).ids;
    EXPECT_NE(ids, tokenizer.encode(text).ids) << text;
    for (const std::int64_t id : ids) EXPECT_LT(id, 420) << text;
  }
}

TEST(EscapedText, OnlyTheGivenRangesAreEscaped) {
  const BpeTokenizer tokenizer(folder() / "qwen.json");
  const std::int64_t sep = tokenizer.token_to_id("<|sep|>").value();
  const std::string text = "<|sep|><|sep|>\xff<|sep|>";
  const TextSpan middle{8, 9};
  const Ids ids = tokenizer.encode_with_escapes(text, {&middle, 1}).ids;
  EXPECT_EQ(std::count(ids.begin(), ids.end(), sep), 2);
  EXPECT_EQ(ids.front(), sep);
  EXPECT_EQ(ids.back(), sep);
  EXPECT_EQ(tokenizer.decode(ids), "<|sep|><|sep|>\uFFFD<|sep|>");

  const std::vector<TextSpan> descending = {{5, 6}, {1, 2}};
  EXPECT_THROW(tokenizer.encode_with_escapes(text, descending), ConfigError);
  const TextSpan outside{0, text.size() + 1};
  EXPECT_THROW(tokenizer.encode_with_escapes(text, {&outside, 1}), ConfigError);
}

}  // namespace
}  // namespace shine
