// Fast parts of the tokenizer against reference implementations: split patterns, merges, the cache of words.
#include <gtest/gtest.h>

#include <array>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "support/random_text.h"
#include "text/bpe/bpe_model.h"
#include "text/bpe/known_patterns.h"
#include "text/bpe/split_pattern.h"
#include "text/bpe/word_cache.h"

namespace shine {
namespace {

constexpr std::string_view kKnownPatterns[] = {kQwenPattern, kLlama3Pattern, kGpt2Pattern, kDigitPattern};

TEST(SplitPattern, KnownPatternsMatchWhatTheRegexMatches) {
  std::mt19937 random(3);
  for (const std::string_view pattern : kKnownPatterns) {
    const SplitPattern split(pattern, "test");
    for (int i = 0; i < 20000; ++i) {
      const std::string text = test::random_text(random);
      ASSERT_EQ(split.find_all(text), split.regex().find_all(text)) << pattern << " in " << text;
    }
  }
}

TEST(SplitPattern, EveryCharacterIsOfTheSameKindAsInTheRegex) {
  for (const std::string_view pattern : {kQwenPattern, kDigitPattern}) {
    const SplitPattern split(pattern, "test");
    for (char32_t first = 0; first < 0x110000; first += 0x1000) {
      std::string text;
      for (char32_t c = first; c < first + 0x1000; ++c) {
        if (c >= 0xD800 && c < 0xE000) continue;
        text += "1 ";
        append_utf8(text, c);
        text += 'a';
      }
      ASSERT_EQ(split.find_all(text), split.regex().find_all(text))
          << pattern << " from " << static_cast<std::uint32_t>(first);
    }
  }
}

TEST(SplitPattern, OtherPatternsAreMatchedByTheRegex) {
  const SplitPattern split("b+", "test");
  EXPECT_EQ(split.find_all("abba b"), (std::vector<TextSpan>{{1, 3}, {5, 6}}));
  EXPECT_EQ(SplitPattern::literal("b+", "test").find_all("abb+"), (std::vector<TextSpan>{{2, 4}}));
}

using Ids = std::vector<std::int32_t>;

// A vocabulary of letters and random merges of existing tokens.
BpeModelData random_model(std::mt19937& random, int letters, int merges) {
  BpeModelData data;
  std::vector<std::string> tokens;
  const auto add = [&](const std::string& token) {
    const auto [place, is_new] = data.vocabulary.try_emplace(token, static_cast<std::int32_t>(tokens.size()));
    if (is_new) tokens.push_back(token);
    return place->second;
  };
  for (int i = 0; i < letters; ++i) add(std::string(1, static_cast<char>('a' + i)));
  for (int i = 0; i < merges; ++i) {
    const std::size_t left = random() % tokens.size();
    const std::size_t right = random() % tokens.size();
    if (tokens[left].size() + tokens[right].size() > 12) continue;
    const std::int32_t merged = add(tokens[left] + tokens[right]);
    data.merges.push_back({static_cast<std::int32_t>(left), static_cast<std::int32_t>(right), merged});
  }
  return data;
}

// The definition: again and again the merge of lowest rank, of several the leftmost.
Ids merge_plainly(const BpeModelData& data, const std::string& word) {
  std::map<std::pair<std::int32_t, std::int32_t>, std::pair<std::size_t, std::int32_t>> rules;
  for (std::size_t i = 0; i < data.merges.size(); ++i)
    rules[{data.merges[i].left, data.merges[i].right}] = {i, data.merges[i].merged};
  Ids ids;
  for (const char c : word) ids.push_back(data.vocabulary.at(std::string(1, c)));
  while (true) {
    std::pair<std::size_t, std::int32_t> best{data.merges.size(), 0};
    std::size_t place = 0;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
      const auto found = rules.find({ids[i], ids[i + 1]});
      if (found == rules.end() || found->second.first >= best.first) continue;
      best = found->second;
      place = i;
    }
    if (best.first == data.merges.size()) return ids;
    ids[place] = best.second;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(place) + 1);
  }
}

TEST(BpeModel, WordsOfAnyLengthMergeByTheDefinition) {
  std::mt19937 random(5);
  for (int round = 0; round < 20; ++round) {
    const int letters = 1 + round % 4;
    const BpeModelData data = random_model(random, letters, 60);
    const BpeModel model(data);
    for (std::size_t size = 1; size < 120; ++size) {
      std::string word(size, 'a');
      for (char& c : word) c = static_cast<char>('a' + random() % static_cast<unsigned>(letters));
      for (int again = 0; again < 2; ++again) {  // the second time from memory, if short
        std::vector<BpeToken> tokens;
        model.tokenize(word, tokens);
        Ids ids;
        std::uint32_t end = 0;
        for (const BpeToken& token : tokens) {
          ids.push_back(token.id);
          EXPECT_EQ(token.begin, end);
          end = token.end;
        }
        EXPECT_EQ(end, size);
        ASSERT_EQ(ids, merge_plainly(data, word)) << word;
      }
    }
  }
}

// The value stored for a word, derived from the word, so that a mix of two entries is noticed.
std::vector<BpeToken> tokens_for(const std::string& word) {
  std::vector<BpeToken> tokens;
  const auto hash = static_cast<std::int32_t>(std::hash<std::string>{}(word)&0x7FFFFFFF);
  const auto count = static_cast<std::uint32_t>(1 + word.size() % WordCache::kTokens);
  for (std::uint32_t i = 0; i < count; ++i)
    tokens.push_back({hash ^ static_cast<std::int32_t>(i), i, static_cast<std::uint32_t>(word.size())});
  return tokens;
}

TEST(WordCache, GivesBackWhatWasStoredWhileOthersStore) {
  WordCache cache;
  std::array<std::size_t, 4> hits{};
  std::array<std::size_t, 4> faults{};
  const auto work = [&](std::size_t index) {
    std::mt19937 random(static_cast<unsigned>(index));
    for (int i = 0; i < 100000; ++i) {
      const std::string word = std::to_string(random() % 60000) + std::string(random() % 3 * 9, 'x');
      std::vector<BpeToken> tokens;
      if (cache.find(word, tokens)) {
        ++hits[index];
        faults[index] += tokens != tokens_for(word);
      } else {
        faults[index] += !tokens.empty();
        cache.store(word, tokens_for(word));
      }
    }
  };
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < hits.size(); ++i) threads.emplace_back(work, i);
  }
  for (const std::size_t count : hits) EXPECT_GT(count, 1000U);
  EXPECT_EQ(faults, (std::array<std::size_t, 4>{}));
}

TEST(WordCache, LeavesOutLongWordsAndManyTokens) {
  WordCache cache;
  std::vector<BpeToken> found;
  const std::string longest(WordCache::kWordBytes, 'a');
  const std::vector<BpeToken> many(WordCache::kTokens + 1);
  cache.store(longest + 'a', tokens_for("a"));
  cache.store("b", many);
  EXPECT_FALSE(cache.find(longest + 'a', found));
  EXPECT_FALSE(cache.find("b", found));
  cache.store(longest, std::span(many).first(WordCache::kTokens));
  EXPECT_TRUE(cache.find(longest, found));
  EXPECT_EQ(found.size(), WordCache::kTokens);
}

}  // namespace
}  // namespace shine
