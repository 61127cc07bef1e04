#include "data/pretrain/pretrain_dataset.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "data/byte_tokenizer.h"
#include "data/pretrain/words.h"
#include "shine/common/error.h"
#include "shine/text/chat_template.h"
#include "support/faults.h"
#include "support/paths.h"

namespace shine {
namespace {

using Texts = std::vector<std::string>;
using Ids = std::vector<std::int64_t>;

/// What the byte tokenizer's template takes: 6 markers and task token, "user\n", "assistant\n", two "\n".
constexpr std::int64_t kByteOverhead = 5 + 5 + 10 + 2;

PretrainOptions roomy() {
  PretrainOptions options;
  options.context_max_length = 400;
  options.conversation_max_length = 400;
  options.seed = 11;
  return options;
}

PretrainDataset make(const Texts& texts, const PretrainOptions& options) {
  return PretrainDataset(texts, std::make_shared<test::ByteTokenizer>(), options);
}

std::string text_of(const Ids& ids) {
  return test::ByteTokenizer().decode(ids);
}

/// The parts of a row of text between occurrences of a marker.
Texts split(std::string text, const std::string& marker) {
  Texts parts;
  for (std::size_t at = 0; (at = text.find(marker)) != std::string::npos; text.erase(0, at + marker.size())) {
    parts.push_back(text.substr(0, at));
  }
  parts.push_back(text);
  return parts;
}

/// A sample read back from its tokens: what the context shows, and what is asked and answered.
struct ReadBack {
  Texts contexts;
  std::vector<std::pair<std::string, std::string>> turns;
};

ReadBack read_back(const Sample& sample) {
  ReadBack result{.contexts = split(text_of(sample.context_ids), "<|endoftext|>"), .turns = {}};
  auto turns = split(text_of(sample.conversation_ids), "<|im_start|>user\n");
  turns.erase(turns.begin());
  for (const auto& turn : turns) {
    const auto parts = split(turn, "<|im_end|>\n");
    const std::string header = "<|im_start|>assistant\n";
    EXPECT_TRUE(parts.size() == 3 && parts[1].starts_with(header)) << turn;
    result.turns.emplace_back(parts[0], parts[1].substr(header.size()));
  }
  return result;
}

Texts sentences(int count) {
  Texts texts;
  for (int i = 0; i < count; ++i) {
    std::string text = "t" + std::to_string(i);
    for (int word = 0; word < i % 9 + 1; ++word) text += word % 2 == 0 ? "  w" : "\n\tv";
    texts.push_back(text);
  }
  return texts;
}

TEST(PretrainDataset, HoldsEveryTextOncePerEpochWithinTheLimits) {
  const auto texts = sentences(40);
  const auto dataset = make(texts, roomy());
  EXPECT_EQ(dataset.turn_overhead(), kByteOverhead);
  EXPECT_EQ(dataset.report().texts, 40U);
  for (const std::int64_t epoch : {0, 1}) {
    std::multiset<std::string> answers;
    for (std::size_t i = 0; i < dataset.size(); ++i) {
      const auto sample = dataset.sample(epoch, i);
      EXPECT_LE(sample.conversation_ids.size(), 400U);
      EXPECT_EQ(sample.labels.size(), sample.conversation_ids.size());
      EXPECT_EQ(sample.context_tokens_cut + sample.conversation_tokens_cut, 0);
      for (const auto& [asked, answer] : read_back(sample).turns) answers.insert(answer);
    }
    EXPECT_EQ(answers, std::multiset<std::string>(texts.begin(), texts.end()));
  }
}

TEST(PretrainDataset, ContextHoldsTheTextsCutWhereCompletionIsAsked) {
  const auto texts = sentences(40);
  const auto dataset = make(texts, roomy());
  std::size_t completions = 0;
  bool orders_differ = false;
  for (std::size_t i = 0; i < dataset.size(); ++i) {
    const auto sample = read_back(dataset.sample(0, i));
    ASSERT_EQ(sample.contexts.size(), sample.turns.size());
    Texts order;
    for (const auto& [asked, answer] : sample.turns) {
      // Texts differ in their first word, which is always kept.
      const auto& text = answer;
      const auto same_text = [&](const std::string& part) {
        return first_words(part, 1, false) == first_words(text, 1, false);
      };
      ASSERT_EQ(std::ranges::count_if(sample.contexts, same_text), 1);
      const std::string part = *std::ranges::find_if(sample.contexts, same_text);
      order.push_back(part);
      if (asked == "<RECON>") {
        EXPECT_EQ(part, text);
        continue;
      }
      ++completions;
      EXPECT_EQ(asked, "<COMP>");
      const std::size_t words = count_words(text);
      EXPECT_LT(part.size(), text.size());
      EXPECT_TRUE(text.starts_with(part));
      EXPECT_GE(count_words(part), words_kept(words, 0.3));
      EXPECT_LE(count_words(part), words_kept(words, 0.1));
    }
    orders_differ = orders_differ || order != sample.contexts;
  }
  EXPECT_TRUE(orders_differ);
  EXPECT_GT(completions, 10U);
  EXPECT_LT(completions, 30U);
}

TEST(PretrainDataset, LabelsAndIdsAreThoseOfTheRenderedConversation) {
  const test::ByteTokenizer tokenizer;
  const auto dataset = make(sentences(10), roomy());
  for (std::size_t i = 0; i < dataset.size(); ++i) {
    const auto sample = dataset.sample(3, i);
    std::vector<ChatMessage> messages;
    for (const auto& [asked, answer] : read_back(sample).turns) {
      messages.push_back({"user", asked});
      messages.push_back({"assistant", answer});
    }
    const auto rendered = tokenize_chat(tokenizer, messages);
    EXPECT_EQ(sample.conversation_ids, rendered.ids);
    EXPECT_EQ(sample.labels, rendered.labels);
  }
}

TEST(PretrainDataset, CollapsesWhitespaceOnlyWhereAskedAndOnlyOfTheKeptPart) {
  auto options = roomy();
  options.completion_frequency = 1;
  options.collapse_whitespace = true;
  const auto sample = read_back(make({"a  b\n\nc\t d"}, options).sample(0, 0));
  EXPECT_EQ(sample.contexts, Texts{"a b c"});
  EXPECT_EQ(sample.turns[0], (std::pair<std::string, std::string>{"<COMP>", "a  b\n\nc\t d"}));
  options.collapse_whitespace = false;
  EXPECT_EQ(read_back(make({"a  b\n\nc\t d"}, options).sample(0, 0)).contexts, Texts{"a  b\n\nc"});
}

TEST(PretrainDataset, AOneWordTextStaysWholeAndKeepsItsTask) {
  auto options = roomy();
  options.completion_frequency = 1;
  const auto sample = read_back(make({"word"}, options).sample(0, 0));
  EXPECT_EQ(sample.contexts, Texts{"word"});
  EXPECT_EQ(sample.turns[0], (std::pair<std::string, std::string>{"<COMP>", "word"}));
}

TEST(PretrainDataset, TheFrequencyIsAProbability) {
  auto options = roomy();
  for (const auto& [frequency, expected] : {std::pair{0.0, 0.0}, {0.2, 0.2}, {1.0, 1.0}}) {
    options.completion_frequency = frequency;
    const auto dataset = make(Texts(50, "two words"), options);
    double completions = 0;
    for (std::int64_t epoch = 0; epoch < 40; ++epoch) {
      for (std::size_t i = 0; i < dataset.size(); ++i) {
        for (const auto& turn : read_back(dataset.sample(epoch, i)).turns) completions += turn.first == "<COMP>";
      }
    }
    EXPECT_NEAR(completions / 2000, expected, 0.04);
  }
}

TEST(PretrainDataset, ASampleDependsOnSeedEpochAndIndexAlone) {
  const auto texts = sentences(30);
  auto options = roomy();
  const auto one = make(texts, options);
  const auto two = make(texts, options);
  for (std::size_t i = one.size(); i-- > 0;) {
    const auto expected = one.sample(2, i);
    EXPECT_EQ(two.sample(2, i).context_ids, expected.context_ids);
    EXPECT_EQ(two.sample(2, i).conversation_ids, expected.conversation_ids);
    EXPECT_NE(one.sample(1, i).conversation_ids, expected.conversation_ids);
  }
  options.seed = 12;
  EXPECT_NE(make(texts, options).sample(2, 0).conversation_ids, one.sample(2, 0).conversation_ids);
}

TEST(PretrainDataset, OverLongTextsAreCutAtTheEndAndCounted) {
  auto options = roomy();
  options.conversation_max_length = 60;
  options.context_max_length = 30;
  const std::string longer(100, 'x');
  const auto dataset = make({"short", longer, "tiny"}, options);
  EXPECT_EQ(dataset.report().over_long, 1U);
  EXPECT_EQ(dataset.report().tokens_cut, 100 + kByteOverhead - 60);
  ASSERT_EQ(dataset.size(), 2U);
  const auto sample = dataset.sample(0, 0);
  EXPECT_EQ(text_of(sample.context_ids), longer.substr(0, 30));
  EXPECT_EQ(sample.context_tokens_cut, 70);
  EXPECT_EQ(sample.conversation_ids.size(), 60U);
  EXPECT_EQ(sample.labels.size(), 60U);
  EXPECT_EQ(sample.conversation_tokens_cut, 100 + kByteOverhead - 60);
  EXPECT_EQ(sample.labels.back(), 'x');
}

TEST(PretrainDataset, OverLongTextsAreSplitIntoPiecesThatAreAllTrained) {
  auto options = roomy();
  options.conversation_max_length = 40 + kByteOverhead;
  options.context_max_length = 24;
  std::string longer;
  for (int i = 10; i < 90; ++i) longer += "Sentence " + std::to_string(i) + ". ";
  const Texts texts{"short", longer, "tiny"};
  const auto cut = make(texts, options);
  EXPECT_EQ(cut.report().tokens, 80 * 13 + 9);
  EXPECT_EQ(cut.report().tokens_lost(), 80 * 13 - 24) << "of the context, which is shorter";
  options.over_long = OverLong::split;
  const auto dataset = make(texts, options);
  EXPECT_EQ(dataset.report().split_off, 79U);
  EXPECT_EQ(dataset.report().tokens_lost(), 0);
  EXPECT_EQ(dataset.report().texts, 82U);
  std::multiset<std::string> answers, expected{"short", "tiny"};
  for (int i = 10; i < 90; ++i) expected.insert("Sentence " + std::to_string(i) + ".");
  for (std::size_t i = 0; i < dataset.size(); ++i) {
    const auto sample = dataset.sample(0, i);
    EXPECT_LE(sample.context_ids.size(), 24U);
    EXPECT_EQ(sample.context_tokens_cut + sample.conversation_tokens_cut, 0);
    for (const auto& turn : read_back(sample).turns) answers.insert(turn.second);
  }
  EXPECT_EQ(answers, expected);
}

TEST(PretrainDataset, ContextsOverTheirLengthAreCountedBeforeCompletion) {
  auto options = roomy();
  options.completion_frequency = 0;
  options.conversation_max_length = 2 * (10 + kByteOverhead);
  // Groups of 10 + 10 and of 10 tokens; a separator between the first two makes 21.
  const Texts texts{"0123456789", "abcdefghij", "ABCDEFGHIJ"};
  const auto expect_report = [&](std::int64_t context_max_length, std::size_t over_long, std::int64_t cut) {
    options.context_max_length = context_max_length;
    const auto dataset = make(texts, options);
    ASSERT_EQ(dataset.size(), 2U);
    EXPECT_EQ(dataset.report().contexts_over_long, over_long) << context_max_length;
    EXPECT_EQ(dataset.report().context_tokens_cut, cut) << context_max_length;
    EXPECT_EQ(dataset.sample(0, 0).context_tokens_cut + dataset.sample(0, 1).context_tokens_cut, cut);
  };
  expect_report(21, 0, 0);
  expect_report(20, 1, 1);
  expect_report(10, 1, 11);
  expect_report(9, 2, 13);
}

TEST(PretrainDataset, TellsTheTokensOfItsSamplesWithoutCompletion) {
  auto options = roomy();
  options.conversation_max_length = 90;
  for (const std::int64_t context_max_length : {400, 25}) {
    options.context_max_length = context_max_length;
    options.completion_frequency = 0;
    Texts texts = sentences(30);
    texts.emplace_back(100, 'x');  // over long by itself
    const auto dataset = make(texts, options);
    const auto tokens_of = [](const Sample& sample) {
      return static_cast<std::int64_t>(sample.context_ids.size() + sample.conversation_ids.size());
    };
    for (std::size_t i = 0; i < dataset.size(); ++i) {
      EXPECT_EQ(dataset.tokens(i), tokens_of(dataset.sample(1, i))) << i;
    }
    options.completion_frequency = 1;
    const auto completed = make(texts, options);
    for (std::size_t i = 0; i < completed.size(); ++i) {
      EXPECT_EQ(completed.tokens(i), dataset.tokens(i));
      EXPECT_GE(completed.tokens(i), tokens_of(completed.sample(1, i)));
    }
  }
}

TEST(PretrainDataset, ATextThatJustFitsIsWhole) {
  auto options = roomy();
  options.conversation_max_length = 10 + kByteOverhead;
  const auto dataset = make({"0123456789", "0123456789a"}, options);
  EXPECT_EQ(dataset.report().over_long, 1U);
  EXPECT_EQ(dataset.sample(0, 1).conversation_tokens_cut, 0);
  EXPECT_EQ(dataset.sample(0, 0).conversation_tokens_cut, 1);
}

TEST(PretrainDataset, SpecialStringsAreParsedOrEscaped) {
  const test::ByteTokenizer tokenizer;
  const std::int64_t end = *tokenizer.token_to_id(kMessageEnd);
  const std::int64_t recon = *tokenizer.token_to_id(kReconstruct);
  auto options = roomy();
  options.completion_frequency = 0;
  const Texts texts{"a<|im_end|>b<RECON>"};
  const auto count = [](const Ids& ids, std::int64_t id) { return std::ranges::count(ids, id); };

  const auto parsed = make(texts, options).sample(0, 0);
  EXPECT_EQ(parsed.context_ids, (Ids{'a', end, 'b', recon}));
  EXPECT_EQ(count(parsed.conversation_ids, end), 3);
  EXPECT_EQ(count(parsed.conversation_ids, recon), 2);

  options.special_tokens = SpecialTokens::escape;
  const auto escaped = make(texts, options).sample(0, 0);
  EXPECT_EQ(escaped.context_ids.size(), texts[0].size());
  EXPECT_EQ(count(escaped.conversation_ids, end), 2);
  EXPECT_EQ(count(escaped.conversation_ids, recon), 1);
  EXPECT_EQ(escaped.conversation_ids.size(), texts[0].size() + kByteOverhead);
}

TEST(PretrainDataset, ThreadsDoNotMatter) {
  auto options = roomy();
  options.threads = 1;
  const auto one = make(sentences(300), options);
  options.threads = 3;
  std::size_t last = 0;
  const PretrainDataset three(sentences(300), std::make_shared<test::ByteTokenizer>(), options,
                              [&](std::size_t done, std::size_t) { last = done; });
  EXPECT_EQ(last, 300U);
  ASSERT_EQ(one.size(), three.size());
  for (std::size_t i = 0; i < one.size(); ++i) {
    EXPECT_EQ(one.sample(0, i).conversation_ids, three.sample(0, i).conversation_ids);
  }
}

TEST(PretrainDataset, TheFingerprintTellsTextsAndOptionsButNotThreads) {
  const Texts texts{"one text", "another text"};
  const auto options = roomy();
  std::set<std::uint64_t> seen{make(texts, options).fingerprint()};
  EXPECT_FALSE(seen.contains(0));
  EXPECT_TRUE(seen.contains(make(texts, options).fingerprint()));
  const auto expect_new = [&](const Texts& other, auto change) {
    auto changed = options;
    change(changed);
    EXPECT_TRUE(seen.insert(make(other, changed).fingerprint()).second) << seen.size();
  };
  const auto nothing = [](PretrainOptions&) {};
  expect_new({"one text", "another texT"}, nothing);
  expect_new({"another text", "one text"}, nothing);
  expect_new({"one texta", "nother text"}, nothing);
  expect_new({"one text"}, nothing);
  expect_new(texts, [](PretrainOptions& o) { --o.context_max_length; });
  expect_new(texts, [](PretrainOptions& o) { --o.conversation_max_length; });
  expect_new(texts, [](PretrainOptions& o) { o.open_groups = 2; });
  expect_new(texts, [](PretrainOptions& o) { o.completion_frequency = 0.25; });
  expect_new(texts, [](PretrainOptions& o) { o.completion_drop_min = 0.2; });
  expect_new(texts, [](PretrainOptions& o) { o.completion_drop_max = 0.4; });
  expect_new(texts, [](PretrainOptions& o) { o.over_long = OverLong::split; });
  expect_new(texts, [](PretrainOptions& o) { o.collapse_whitespace = true; });
  expect_new(texts, [](PretrainOptions& o) { o.special_tokens = SpecialTokens::escape; });
  expect_new(texts, [](PretrainOptions& o) { ++o.seed; });
  auto more_threads = options;
  more_threads.threads = 3;
  EXPECT_TRUE(seen.contains(make(texts, more_threads).fingerprint()));
}

TEST(PretrainDataset, RefusesOptionsThatCannotBe) {
  const auto rejects = [](auto change) {
    auto options = roomy();
    change(options);
    EXPECT_THROW(make({"text"}, options), ConfigError);
  };
  rejects([](PretrainOptions& o) { o.conversation_max_length = kByteOverhead; });
  rejects([](PretrainOptions& o) { o.context_max_length = 0; });
  rejects([](PretrainOptions& o) { o.completion_frequency = 1.5; });
  rejects([](PretrainOptions& o) { o.over_long = OverLong::drop; });
  rejects([](PretrainOptions& o) { o.completion_drop_min = 0.4; });
  rejects([](PretrainOptions& o) { o.completion_drop_max = 1.1; });
  EXPECT_THROW(make({}, roomy()), ConfigError);
  EXPECT_THROW(make({"text"}, roomy()).sample(0, 1), ConfigError);
}

TEST(PretrainDataset, OneTurnCostsElevenTokensWithQwen3) {
  const auto folder = test::shared_dir() / "tokenizers" / "qwen3";
  if (!std::filesystem::exists(folder / "tokenizer.json")) GTEST_SKIP() << "no " << folder;
  const std::shared_ptr<Tokenizer> tokenizer = load_tokenizer(folder);
  add_task_tokens(*tokenizer);
  auto options = roomy();
  options.conversation_max_length = 120;
  const PretrainDataset dataset(
      {"The tide table lists two high waters.", "Größe 42 – naïve café, 東京タワー", "\n starts with a newline"},
      tokenizer, options);
  EXPECT_EQ(dataset.turn_overhead(), 11);
  ASSERT_EQ(dataset.size(), 1U);
  const auto sample = dataset.sample(0, 0);
  std::vector<ChatMessage> messages;
  auto turns = split(tokenizer->decode(sample.conversation_ids), "<|im_start|>user\n");
  for (std::size_t i = 1; i < turns.size(); ++i) {
    const auto parts = split(turns[i], "<|im_end|>\n");
    messages.push_back({"user", parts[0]});
    messages.push_back({"assistant", parts[1].substr(std::string("<|im_start|>assistant\n").size())});
  }
  ASSERT_EQ(messages.size(), 6U);
  const auto rendered = tokenize_chat(*tokenizer, messages);
  EXPECT_EQ(sample.conversation_ids, rendered.ids);
  EXPECT_EQ(sample.labels, rendered.labels);
}

TEST(PretrainDataset, AnotherChatFormatBeginsAConversationOnce) {
  const auto tokenizer = test::byte_tokenizer_with(test::llama3_markers());
  PretrainOptions options = roomy();
  options.completion_frequency = 0;
  options.chat_format = llama3_format(/*dated=*/true);
  const PretrainDataset dataset({"first", "second"}, tokenizer, options);
  ASSERT_EQ(dataset.size(), 1U);
  const Sample sample = dataset.sample(0, 0);
  const bool in_order = tokenizer->decode(sample.conversation_ids).find("first") <
                        tokenizer->decode(sample.conversation_ids).find("second");
  const Texts answers = in_order ? Texts{"first", "second"} : Texts{"second", "first"};
  const std::vector<ChatMessage> messages = {
      {"user", "<RECON>"}, {"assistant", answers[0]}, {"user", "<RECON>"}, {"assistant", answers[1]}};
  const auto expected = tokenize_chat(*tokenizer, messages, SpecialTokens::parse, options.chat_format);
  EXPECT_EQ(sample.conversation_ids, expected.ids);
  EXPECT_EQ(sample.labels, expected.labels);
  const std::string context = tokenizer->decode(sample.context_ids);
  EXPECT_TRUE(context == "first<|end_of_text|>second" || context == "second<|end_of_text|>first") << context;
  EXPECT_EQ(dataset.tokens(0), static_cast<std::int64_t>(sample.context_ids.size() + expected.ids.size()));
  EXPECT_EQ(dataset.turn_overhead(), tokens_per_turn(*tokenizer, options.chat_format));

  options.conversation_max_length = static_cast<std::int64_t>(expected.ids.size());
  EXPECT_EQ(PretrainDataset({"first", "second"}, tokenizer, options).size(), 1U);
  --options.conversation_max_length;
  EXPECT_EQ(PretrainDataset({"first", "second"}, tokenizer, options).size(), 2U);
}

TEST(PretrainDataset, TheTokensOfItsChatFormatMustBeThere) {
  PretrainOptions options = roomy();
  options.chat_format = mistral_format(MistralVersion::v3);
  test::expect_fault<ConfigError>("</s>", [&] { make({"text"}, options); });
}

}  // namespace
}  // namespace shine
