#include "data/qa/qa_dataset.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>

#include "data/byte_tokenizer.h"
#include "shine/common/error.h"
#include "shine/text/chat_template.h"
#include "support/paths.h"

namespace shine {
namespace {

const PromptConfig kPrompts{.multi_turn_in_context = "M {context}",
                            .question_system = "S",
                            .question_system_in_context = "",
                            .question_in_context = "{context}|{question}"};

QaOptions wide(QaForm form, ContextPlace place = ContextPlace::lora) {
  return {.form = form,
          .place = place,
          .context_max_length = 1000,
          .conversation_max_length = 1000,
          .prompts = kPrompts,
          .seed = 5};
}

std::vector<QaItem> two_items() {
  return {{.id = "x",
           .context = "first context",
           .conversations = {{{"user", "q1"}, {"assistant", "a1"}, {"user", "q2"}, {"assistant", "a2"}},
                             {{"user", "q3"}, {"assistant", "a3"}}}},
          {.id = "y", .context = "second", .questions = {{"q4", {"a4", "other"}}, {"q5", {"a5"}}}}};
}

QaDataset make(std::vector<QaItem> items, const QaOptions& options) {
  return QaDataset(std::move(items), std::make_shared<test::ByteTokenizer>(), options);
}

std::string text(const std::vector<std::int64_t>& ids) {
  return test::ByteTokenizer().decode(ids);
}

std::string labelled(const Sample& sample) {
  EXPECT_EQ(sample.labels.size(), sample.conversation_ids.size());
  std::vector<std::int64_t> ids;
  for (std::size_t i = 0; i < sample.labels.size(); ++i) {
    if (sample.labels[i] == kIgnoredLabel) continue;
    EXPECT_EQ(sample.labels[i], sample.conversation_ids[i]);
    ids.push_back(sample.labels[i]);
  }
  return text(ids);
}

std::string turn(const std::string& question, const std::string& answer) {
  return "<|im_start|>user\n" + question + "<|im_end|>\n<|im_start|>assistant\n" + answer + "<|im_end|>\n";
}
std::string system_message(const std::string& content) {
  return "<|im_start|>system\n" + content + "<|im_end|>\n";
}

std::vector<std::string> conversations(const QaDataset& dataset) {
  std::vector<std::string> all;
  for (std::size_t i = 0; i < dataset.size(); ++i) all.push_back(text(dataset.sample(0, i).conversation_ids));
  return all;
}

void expect_tokens_told(const QaDataset& dataset) {
  for (std::size_t i = 0; i < dataset.size(); ++i) {
    const Sample sample = dataset.sample(0, i);
    EXPECT_EQ(dataset.tokens(i), static_cast<std::int64_t>(sample.context_ids.size() + sample.conversation_ids.size()))
        << i;
  }
}

TEST(QaDataset, MultiTurnSamplesAreConversations) {
  const auto dataset = make(two_items(), wide(QaForm::multi_turn));
  EXPECT_EQ(conversations(dataset), (std::vector<std::string>{turn("q1", "a1") + turn("q2", "a2"), turn("q3", "a3"),
                                                              turn("q4", "a4") + turn("q5", "a5")}));
  EXPECT_EQ(text(dataset.sample(0, 1).context_ids), "first context");
  EXPECT_EQ(text(dataset.sample(0, 2).context_ids), "second");
  EXPECT_EQ(labelled(dataset.sample(0, 0)), "a1<|im_end|>\na2<|im_end|>\n");
  EXPECT_EQ(dataset.report().items, 2U);
  EXPECT_EQ(dataset.report().samples, 3U);
  EXPECT_EQ(dataset.report().dropped + dataset.report().contexts_over_long, 0U);
}

TEST(QaDataset, OneQuestionSamplesAreQuestions) {
  const auto dataset = make(two_items(), wide(QaForm::one_question));
  EXPECT_EQ(conversations(dataset), (std::vector<std::string>{turn("q1", "a1"), turn("q2", "a2"), turn("q3", "a3"),
                                                              turn("q4", "a4"), turn("q5", "a5")}));
  EXPECT_EQ(text(dataset.sample(0, 4).context_ids), "second");
}

TEST(QaDataset, TheContextMayStandInThePrompt) {
  const auto multi = make(two_items(), wide(QaForm::multi_turn, ContextPlace::prompt));
  EXPECT_TRUE(multi.sample(0, 2).context_ids.empty());
  EXPECT_EQ(conversations(multi).at(2), system_message("M second") + turn("q4", "a4") + turn("q5", "a5"));
  EXPECT_EQ(labelled(multi.sample(0, 2)), "a4<|im_end|>\na5<|im_end|>\n");
  const auto one = make(two_items(), wide(QaForm::one_question, ContextPlace::prompt));
  EXPECT_EQ(conversations(one).at(3), system_message("S") + turn("second|q4", "a4"));
}

TEST(QaDataset, TellsTheTokensOfItsSamplesWithoutReconstruction) {
  for (const QaForm form : {QaForm::multi_turn, QaForm::one_question}) {
    for (const ContextPlace place : {ContextPlace::lora, ContextPlace::prompt}) {
      expect_tokens_told(make(two_items(), wide(form, place)));
    }
  }
  auto options = wide(QaForm::multi_turn);
  const auto questions = make(two_items(), options);
  options.reconstruction_share = 1;
  EXPECT_EQ(token_counts(make(two_items(), options)), token_counts(questions)) << "the same in every epoch";
}

TEST(QaDataset, ThePromptIsThatOfTheEvaluation) {
  const test::ByteTokenizer tokenizer;
  const auto dataset = make(two_items(), wide(QaForm::one_question, ContextPlace::prompt));
  const QaPrompts prompts(Method::in_context, QaForm::one_question, kPrompts);
  const auto ids = prompts.tokenize(tokenizer, prompts.messages("second", {}, "q4"));
  const Sample sample = dataset.sample(0, 3);
  ASSERT_GT(sample.conversation_ids.size(), ids.size());
  EXPECT_TRUE(std::equal(ids.begin(), ids.end(), sample.conversation_ids.begin()));
  EXPECT_EQ(sample.labels[ids.size() - 1], kIgnoredLabel);
  EXPECT_EQ(sample.labels[ids.size()], sample.conversation_ids[ids.size()]);
}

TEST(QaDataset, ReconstructionIsDrawnForEachEpochAndIndex) {
  std::vector<QaItem> items;
  for (int i = 0; i < 400; ++i) {
    items.push_back({.context = "c" + std::to_string(i), .questions = {{"q" + std::to_string(i), {"a"}}}});
  }
  auto options = wide(QaForm::multi_turn);
  options.reconstruction_share = 0.25;
  const auto dataset = make(items, options);
  const auto chosen = [&](std::int64_t epoch) {
    std::set<std::size_t> result;
    for (std::size_t i = 0; i < items.size(); ++i) {
      const Sample sample = dataset.sample(epoch, i);
      EXPECT_EQ(text(sample.context_ids), items[i].context);
      const std::string found = text(sample.conversation_ids);
      if (found == turn("<RECON>", items[i].context)) {
        result.insert(i);
        EXPECT_EQ(labelled(sample), items[i].context + "<|im_end|>\n");
      } else {
        EXPECT_EQ(found, turn(items[i].questions[0].question, "a"));
      }
    }
    return result;
  };
  const auto first = chosen(0);
  EXPECT_NEAR(static_cast<double>(first.size()), 100.0, 30.0);
  EXPECT_EQ(chosen(0), first);
  EXPECT_NE(chosen(1), first);

  options.place = ContextPlace::prompt;
  options.reconstruction_share = 1.0;
  EXPECT_EQ(conversations(make(items, options)).at(7), turn("c7", "c7"));
}

TEST(QaDataset, AReconstructionEndsWhereTheContextWasCut) {
  auto options = wide(QaForm::multi_turn);
  options.reconstruction_share = 1.0;
  options.over_long = OverLong::cut;
  options.context_max_length = 5;
  const auto dataset = make(two_items(), options);
  const Sample sample = dataset.sample(0, 0);
  EXPECT_EQ(text(sample.context_ids), "first");
  EXPECT_EQ(sample.context_tokens_cut, 8);
  EXPECT_EQ(text(sample.conversation_ids), turn("<RECON>", "first"));
  EXPECT_EQ(text(sample.conversation_ids).find("context"), std::string::npos);
  options.context_max_length = 1000;
  options.conversation_max_length = 30;
  const Sample cut = make(two_items(), options).sample(0, 0);
  EXPECT_EQ(cut.conversation_ids.size(), 30U);
  EXPECT_EQ(labelled(cut), "first cont");
  EXPECT_EQ(cut.conversation_tokens_cut, 5);
}

struct OverLongCase {
  OverLong over_long;
  std::vector<std::string> conversations;
  QaReport report;
};

void expect_report(const QaReport& found, const QaReport& expected) {
  EXPECT_EQ(found.samples, expected.samples);
  EXPECT_EQ(found.contexts_over_long, expected.contexts_over_long);
  EXPECT_EQ(found.conversations_over_long, expected.conversations_over_long);
  EXPECT_EQ(found.dropped, expected.dropped);
  EXPECT_EQ(found.split_off, expected.split_off);
  EXPECT_EQ(found.tokens_cut, expected.tokens_cut);
}

TEST(QaDataset, OverLongConversationsAreDroppedCutOrSplit) {
  const auto length = static_cast<std::int64_t>(
      tokenize_chat(test::ByteTokenizer(), std::vector<ChatMessage>{{"user", "q1"}, {"assistant", "a1"}}).ids.size());
  const std::string long_answer(100, 'x');
  const QaItem item{
      .context = "c",
      .questions = {{"q1", {"a1"}}, {"q2", {"a2"}}, {"q3", {"a3"}}, {"q4", {long_answer}}, {"q5", {"a5"}}}};
  const QaItem fits{.context = "d", .questions = {{"q6", {"a6"}}}};
  const std::int64_t limit = 2 * length;
  const std::string all =
      turn("q1", "a1") + turn("q2", "a2") + turn("q3", "a3") + turn("q4", long_answer) + turn("q5", "a5");
  const std::vector<OverLongCase> cases = {
      {OverLong::drop, {turn("q6", "a6")}, {.samples = 1, .conversations_over_long = 1, .dropped = 1}},
      {OverLong::cut,
       {turn("q1", "a1") + turn("q2", "a2"), turn("q6", "a6")},
       {.samples = 2, .conversations_over_long = 1, .tokens_cut = 3 * length + 98}},
      {OverLong::split,
       {turn("q1", "a1") + turn("q2", "a2"), turn("q3", "a3"), turn("q5", "a5"), turn("q6", "a6")},
       {.samples = 4, .conversations_over_long = 1, .dropped = 1, .split_off = 2}}};
  for (const auto& expected : cases) {
    auto options = wide(QaForm::multi_turn);
    options.conversation_max_length = limit;
    options.over_long = expected.over_long;
    const auto dataset = make({item, fits}, options);
    EXPECT_EQ(conversations(dataset), expected.conversations);
    expect_report(dataset.report(), expected.report);
    std::int64_t tokens_cut = 0;
    for (std::size_t i = 0; i < dataset.size(); ++i) {
      tokens_cut += dataset.sample(0, i).conversation_tokens_cut;
      EXPECT_EQ(text(dataset.sample(0, i).context_ids), i + 1 < dataset.size() ? "c" : "d");
    }
    EXPECT_EQ(tokens_cut, dataset.report().tokens_cut);
    expect_tokens_told(dataset);
  }
}

TEST(QaDataset, SplitPartsFitARealTokenizer) {
  std::shared_ptr<Tokenizer> tokenizer = load_tokenizer(test::source_dir() / "configs" / "tiny-text" / "backbone");
  add_task_tokens(*tokenizer);
  QaItem item{.id = "x", .context = " \nThe ferry left at noon."};
  for (int i = 0; i < 60; ++i) {
    const std::string answer = std::string(static_cast<std::size_t>(i % 3), '\n') + "at " + std::string(i % 17, 'x');
    item.questions.push_back({"When did ferry " + std::to_string(i * i) + " leave?\n", {answer}});
  }
  for (const ContextPlace place : {ContextPlace::lora, ContextPlace::prompt}) {
    auto options = wide(QaForm::multi_turn, place);
    options.over_long = OverLong::split;
    options.conversation_max_length = 150;
    const QaDataset dataset({item}, tokenizer, options);
    EXPECT_EQ(dataset.report().dropped, 0U);
    EXPECT_EQ(dataset.report().split_off + 1, dataset.size());
    std::size_t turns = 0;
    for (std::size_t i = 0; i < dataset.size(); ++i) {
      const Sample sample = dataset.sample(0, i);
      EXPECT_EQ(sample.conversation_tokens_cut, 0);
      EXPECT_LE(sample.conversation_ids.size(), 150U);
      EXPECT_GT(sample.conversation_ids.size(), i + 1 < dataset.size() ? 90U : 0U);
      turns += static_cast<std::size_t>(
                   std::ranges::count(sample.conversation_ids, *tokenizer->token_to_id(kMessageStart))) /
               2;
    }
    EXPECT_EQ(turns, 60U);
    expect_tokens_told(dataset);
  }
}

TEST(QaDataset, EverySplitPartHasTheContextInItsPrompt) {
  auto options = wide(QaForm::multi_turn, ContextPlace::prompt);
  options.over_long = OverLong::split;
  const std::string opening = system_message("M second");
  const test::ByteTokenizer tokenizer;
  options.conversation_max_length = static_cast<std::int64_t>(tokenizer.encode(opening + turn("q4", "a4")).ids.size());
  const auto dataset = make({two_items()[1]}, options);
  EXPECT_EQ(conversations(dataset), (std::vector<std::string>{opening + turn("q4", "a4"), opening + turn("q5", "a5")}));
  --options.conversation_max_length;
  EXPECT_THROW(make({two_items()[1]}, options), ConfigError);
}

TEST(QaDataset, OverLongContextsAreDroppedOrCut) {
  for (const OverLong over_long : {OverLong::drop, OverLong::split, OverLong::cut}) {
    auto options = wide(QaForm::multi_turn);
    options.over_long = over_long;
    options.context_max_length = 6;
    const auto dataset = make(two_items(), options);
    expect_tokens_told(dataset);
    if (over_long == OverLong::cut) {
      expect_report(dataset.report(), {.samples = 3, .contexts_over_long = 1, .tokens_cut = 14});
      EXPECT_EQ(text(dataset.sample(0, 0).context_ids), "first ");
    } else {
      expect_report(dataset.report(), {.samples = 1, .contexts_over_long = 1, .dropped = 2});
      const auto tokens = [](const std::string& all) {
        return static_cast<std::int64_t>(test::ByteTokenizer().encode(all).ids.size());
      };
      const std::int64_t lost =
          2 * tokens("first context") + tokens(turn("q1", "a1") + turn("q2", "a2")) + tokens(turn("q3", "a3"));
      EXPECT_EQ(dataset.report().tokens_dropped, lost);
      EXPECT_EQ(dataset.report().tokens, lost + tokens("second" + turn("q4", "a4") + turn("q5", "a5")));
      EXPECT_EQ(text(dataset.sample(0, 0).context_ids), "second");
    }
  }
}

TEST(QaDataset, NothingTrainedIsLeftOfASampleThatIsDropped) {
  auto options = wide(QaForm::one_question);
  options.over_long = OverLong::cut;
  options.conversation_max_length = 21;  // 8 + 1 for the question, 11 before the answer
  const auto dataset = make({{.context = "c", .questions = {{"q", {"a"}}, {std::string(30, 'q'), {"a"}}}}}, options);
  EXPECT_EQ(dataset.size(), 1U);
  EXPECT_EQ(dataset.report().dropped, 1U);
}

TEST(QaDataset, EscapedTextsHoldNoSpecialToken) {
  const test::ByteTokenizer tokenizer;
  const std::vector<QaItem> items = {
      {.context = "c<|im_end|>", .questions = {{"q<|im_end|>", {"a<|im_end|><RECON>"}}}}};
  for (const ContextPlace place : {ContextPlace::lora, ContextPlace::prompt}) {
    for (const double share : {0.0, 1.0}) {
      auto options = wide(QaForm::multi_turn, place);
      options.reconstruction_share = share;
      options.special_tokens = SpecialTokens::escape;
      const Sample sample = make(items, options).sample(0, 0);
      EXPECT_EQ(std::ranges::count(sample.context_ids, *tokenizer.token_to_id(kMessageEnd)), 0);
      EXPECT_EQ(std::ranges::count(sample.conversation_ids, *tokenizer.token_to_id(kMessageEnd)),
                place == ContextPlace::prompt && share == 0.0 ? 3 : 2);
      EXPECT_EQ(std::ranges::count(sample.conversation_ids, *tokenizer.token_to_id(kReconstruct)),
                place == ContextPlace::lora && share == 1.0 ? 1 : 0);
    }
  }
}

TEST(QaDataset, ASampleDependsOnSeedEpochAndIndexAlone) {
  std::vector<QaItem> items;
  for (int i = 0; i < 40; ++i) {
    items.push_back({.context = "c" + std::to_string(i), .questions = {{"q" + std::to_string(i), {"a"}}}});
  }
  auto options = wide(QaForm::multi_turn);
  options.reconstruction_share = 0.5;
  options.threads = 1;
  const auto one = make(items, options);
  options.threads = 3;
  const auto two = make(items, options);
  EXPECT_EQ(one.fingerprint(), two.fingerprint());
  for (std::size_t i = items.size(); i-- > 0;) {
    for (const std::int64_t epoch : {1, 0}) {
      EXPECT_EQ(one.sample(epoch, i).conversation_ids, two.sample(epoch, i).conversation_ids);
      EXPECT_EQ(one.sample(epoch, i).labels, two.sample(epoch, i).labels);
    }
  }
}

TEST(QaDataset, TheFingerprintTellsItemsAndOptions) {
  const auto options = wide(QaForm::multi_turn);
  std::set<std::uint64_t> seen{make(two_items(), options).fingerprint()};
  EXPECT_TRUE(seen.contains(make(two_items(), options).fingerprint()));
  const std::vector<std::function<void(QaOptions&, std::vector<QaItem>&)>> changes = {
      [](QaOptions& o, auto&) { o.form = QaForm::one_question; },
      [](QaOptions& o, auto&) { o.place = ContextPlace::prompt; },
      [](QaOptions& o, auto&) { o.context_max_length = 999; },
      [](QaOptions& o, auto&) { o.conversation_max_length = 999; },
      [](QaOptions& o, auto&) { o.over_long = OverLong::cut; },
      [](QaOptions& o, auto&) { o.reconstruction_share = 0.5; },
      [](QaOptions& o, auto&) { o.special_tokens = SpecialTokens::escape; },
      [](QaOptions& o, auto&) { o.seed = 6; },
      [](auto&, std::vector<QaItem>& items) { items[0].context += "."; },
      [](auto&, std::vector<QaItem>& items) { items[1].questions[1].answers[0] += "."; },
      [](auto&, std::vector<QaItem>& items) { items.pop_back(); },
      [](QaOptions& o, auto&) {
        o.place = ContextPlace::prompt;
        o.prompts.multi_turn_in_context = "{context}";
      },
  };
  for (const auto& change : changes) {
    auto changed = options;
    auto items = two_items();
    change(changed, items);
    EXPECT_TRUE(seen.insert(make(items, changed).fingerprint()).second);
  }
}

TEST(QaDataset, RefusesWhatCannotBe) {
  const auto refused = [](const std::function<void(QaOptions&)>& change) {
    auto options = wide(QaForm::multi_turn, ContextPlace::prompt);
    change(options);
    EXPECT_THROW(make(two_items(), options), ConfigError);
  };
  refused([](QaOptions& o) { o.conversation_max_length = 1; });
  refused([](QaOptions& o) { o.conversation_max_length = 9; });
  refused([](QaOptions& o) { o.reconstruction_share = 1.5; });
  refused([](QaOptions& o) { o.prompts.multi_turn_in_context = "x"; });
  refused([](QaOptions& o) { o.prompts.empty_think_block = true; });
  auto options = wide(QaForm::multi_turn);
  EXPECT_THROW(make({}, options), ConfigError);
  EXPECT_THROW(make(two_items(), options).sample(0, 3), ConfigError);
  options.context_max_length = 0;
  EXPECT_THROW(make(two_items(), options), ConfigError);
}

// Mistral's format writes the context's system message into the last question.
TEST(QaDataset, AnotherChatFormatIsThatOfAllItsConversations) {
  const auto tokenizer = std::make_shared<test::ByteTokenizer>();
  tokenizer->add_tokens(
      std::vector<AddedToken>{{.content = "<s>"}, {.content = "</s>"}, {.content = "[INST]"}, {.content = "[/INST]"}});
  const auto first = [&](const QaOptions& options) {
    const Sample sample = QaDataset(two_items(), tokenizer, options).sample(0, 0);
    std::string labels;
    for (const std::int64_t label : sample.labels)
      labels += label == kIgnoredLabel ? "" : tokenizer->token_bytes(label);
    return std::pair(tokenizer->decode(sample.conversation_ids), labels);
  };
  QaOptions options = wide(QaForm::multi_turn, ContextPlace::prompt);
  options.chat_format = mistral_format(MistralVersion::v3);
  EXPECT_EQ(first(options),
            std::pair(std::string("<s>[INST] q1[/INST] a1</s>[INST] M first context\n\nq2[/INST] a2</s>"),
                      std::string(" a1</s> a2</s>")));
  options = wide(QaForm::multi_turn);
  options.chat_format = mistral_format(MistralVersion::v3);
  options.reconstruction_share = 1;
  EXPECT_EQ(first(options),
            std::pair(std::string("<s>[INST] <RECON>[/INST] first context</s>"), std::string(" first context</s>")));
}

TEST(QaDataset, SplitSamplesOfAFormatThatMovesTheSystemMessageFit) {
  const auto tokenizer = std::make_shared<test::ByteTokenizer>();
  tokenizer->add_tokens(std::vector<AddedToken>{{.content = "<s>"}, {.content = "</s>"}});
  QaOptions options = wide(QaForm::multi_turn, ContextPlace::prompt);
  options.chat_format = mistral_format(MistralVersion::v1);
  options.over_long = OverLong::split;
  QaDataset whole(two_items(), tokenizer, options);
  options.conversation_max_length = whole.tokens(0) - 1;
  const QaDataset split(two_items(), tokenizer, options);
  EXPECT_GT(split.size(), whole.size());
  for (std::size_t i = 0; i < split.size(); ++i) {
    EXPECT_EQ(static_cast<std::int64_t>(split.sample(0, i).conversation_ids.size()), split.tokens(i)) << i;
    EXPECT_EQ(split.sample(0, i).conversation_tokens_cut, 0) << i;
  }
}

}  // namespace
}  // namespace shine
