#include "eval/qa/qa_contexts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "data/byte_tokenizer.h"
#include "shine/common/error.h"
#include "shine/common/str.h"
#include "support/faults.h"

namespace shine {
namespace {

QaItem item(const std::string& id, const std::string& context, std::vector<QaQuestion> questions) {
  return {.id = id, .source = "s" + id, .context = context, .questions = std::move(questions)};
}

std::vector<QaItem> many_items(int count) {
  std::vector<QaItem> items;
  for (int i = 0; i < count; ++i) {
    items.push_back(item(std::to_string(i), "text " + std::to_string(i), {{"q" + std::to_string(i), {"a"}}}));
  }
  return items;
}

std::vector<std::string> ids(const std::vector<QaContext>& contexts) {
  std::vector<std::string> all;
  for (const QaContext& context : contexts) all.push_back(context.id);
  return all;
}

TEST(QaContexts, MultiTurnHasADialogueAConversation) {
  const std::vector<QaItem> items{
      {.id = "x",
       .source = "set",
       .context = "c",
       .conversations = {{{"user", "q1"}, {"assistant", "a1"}, {"user", "q2"}, {"assistant", "a2"}},
                         {{"user", "q3"}, {"assistant", "a3"}}},
       .sft_conversations = {{{"user", "u"}, {"assistant", "v"}}}},
      item("y", "d", {{"q4", {"a4", "b4"}}, {"q5", {"a5"}}})};
  const auto contexts = multi_turn_contexts(items, {});
  ASSERT_EQ(contexts.size(), 2U);
  EXPECT_EQ(contexts[0].id, "x");
  EXPECT_EQ(contexts[0].source, "set");
  EXPECT_EQ(contexts[0].joined(), "c");
  EXPECT_EQ(contexts[0].dialogues,
            (std::vector<std::vector<QaQuestion>>{{{"q1", {"a1"}}, {"q2", {"a2"}}}, {{"q3", {"a3"}}}}));
  EXPECT_EQ(contexts[0].questions(), 3U);
  EXPECT_EQ(contexts[0].sft_conversations.size(), 1U);
  EXPECT_EQ(contexts[1].dialogues, (std::vector<std::vector<QaQuestion>>{items[1].questions}));
}

TEST(QaContexts, OneQuestionMergesEqualContexts) {
  const std::vector<QaItem> items{item("x", "same", {{"q1", {"a"}}, {"q2", {"b"}}}),
                                  item("y", "other", {{"q3", {"c"}}}), item("z", "same", {{"q4", {"d"}}})};
  const auto contexts = one_question_contexts(items, {});
  EXPECT_EQ(ids(contexts), (std::vector<std::string>{"x+1", "y"}));
  EXPECT_EQ(contexts[0].texts, std::vector<std::string>{"same"});
  EXPECT_EQ(contexts[0].dialogues,
            (std::vector<std::vector<QaQuestion>>{{{"q1", {"a"}}}, {{"q2", {"b"}}}, {{"q4", {"d"}}}}));
}

TEST(QaContexts, TheLimitDrawsBySeedAndKeepsTheOrder) {
  const auto items = many_items(40);
  const auto drawn = multi_turn_contexts(items, {10, 3});
  EXPECT_EQ(drawn.size(), 10U);
  EXPECT_EQ(ids(drawn), ids(multi_turn_contexts(items, {10, 3})));
  EXPECT_NE(ids(drawn), ids(multi_turn_contexts(items, {10, 4})));
  EXPECT_TRUE(std::is_sorted(drawn.begin(), drawn.end(),
                             [](const auto& a, const auto& b) { return std::stoi(a.id) < std::stoi(b.id); }));
  EXPECT_EQ(multi_turn_contexts(items, {99, 3}).size(), 40U);
  EXPECT_EQ(one_question_contexts(items, {10, 3}).size(), 10U) << "contexts without a drawn question stay";
}

TEST(QaContexts, AnIdTwiceIsAFault) {
  test::expect_fault<ConfigError>("two items have the id 'x'", [&] {
    multi_turn_contexts({item("x", "a", {{"q", {"a"}}}), item("x", "b", {{"q", {"a"}}})}, {});
  });
}

TEST(QaContexts, GroupsHaveEqualCountsAndTheWantedMeanLength) {
  const test::ByteTokenizer tokenizer;
  auto contexts = one_question_contexts(many_items(10), {});  // 6 tokens each: 69 joined
  const auto groups = group_contexts(contexts, /*tokens=*/20, /*seed=*/1, tokenizer, SpecialTokens::parse);
  ASSERT_EQ(groups.size(), 4U);  // ceil(69 / 20)
  std::vector<std::size_t> sizes;
  std::set<std::string> texts;
  for (const QaContext& group : groups) {
    sizes.push_back(group.texts.size());
    EXPECT_EQ(group.dialogues.size(), group.texts.size());
    for (std::size_t i = 0; i < group.texts.size(); ++i) {
      EXPECT_EQ(group.texts[i].substr(5), group.dialogues[i].front().question.substr(1));
    }
    texts.insert(group.texts.begin(), group.texts.end());
    const std::size_t tokens = context_ids(group, tokenizer, SpecialTokens::parse).size();
    EXPECT_EQ(tokens, group.texts.size() * 7 - 1);
    EXPECT_EQ(context_ids(group, tokenizer, SpecialTokens::parse), tokenizer.encode(group.joined()).ids);
    EXPECT_EQ(group.id, group.texts.front().substr(5) + str("+", group.texts.size() - 1));
  }
  EXPECT_EQ(sizes, (std::vector<std::size_t>{3, 3, 2, 2}));
  EXPECT_EQ(texts.size(), 10U);
  EXPECT_NE(groups.front().texts.front(), "text 0") << "not shuffled";
  EXPECT_EQ(ids(groups), ids(group_contexts(contexts, 20, 1, tokenizer, SpecialTokens::parse)));
  EXPECT_NE(ids(groups), ids(group_contexts(contexts, 20, 2, tokenizer, SpecialTokens::parse)));
  EXPECT_EQ(group_contexts(contexts, 1, 1, tokenizer, SpecialTokens::parse).size(), 10U);
  EXPECT_EQ(group_contexts(contexts, 1000, 1, tokenizer, SpecialTokens::parse).size(), 1U);
}

TEST(QaContexts, OtherContextsAreADerangement) {
  for (int count = 2; count < 12; ++count) {
    const auto contexts = multi_turn_contexts(many_items(count), {});
    const auto others = other_contexts(contexts, 7);
    std::set<std::size_t> used(others.begin(), others.end());
    EXPECT_EQ(used.size(), contexts.size());
    for (std::size_t i = 0; i < others.size(); ++i) EXPECT_NE(others[i], i);
    EXPECT_EQ(others, other_contexts(contexts, 7));
  }
  EXPECT_NE(other_contexts(multi_turn_contexts(many_items(30), {}), 1),
            other_contexts(multi_turn_contexts(many_items(30), {}), 2));
}

TEST(QaContexts, AnotherContextHasAnotherText) {
  const auto contexts = multi_turn_contexts(
      {item("x", "same", {{"q", {"a"}}}), item("y", "same", {{"q", {"a"}}}), item("z", "other", {{"q", {"a"}}})}, {});
  EXPECT_EQ(other_contexts(contexts, 0), (std::vector<std::size_t>{2, 2, 0}));
  EXPECT_THROW(other_contexts({contexts[0], contexts[1]}, 0), ConfigError);
}

TEST(QaContexts, BatchesHoldAsManyRowsAsAllowed) {
  std::vector<QaContext> contexts(5);
  for (QaContext& context : contexts) context.dialogues.resize(1);
  auto batches = make_batches(contexts, 2);
  ASSERT_EQ(batches.size(), 3U);
  EXPECT_EQ(batches[0].contexts, (std::vector<std::size_t>{0, 1}));
  EXPECT_EQ(batches[2].contexts, std::vector<std::size_t>{4});

  contexts[1].dialogues.resize(3);
  contexts[3].dialogues.resize(20);
  batches = make_batches(contexts, 8);
  ASSERT_EQ(batches.size(), 4U);  // {0, 1}: 6 rows; a third would make 9; 20 dialogues take 8 rows
  EXPECT_EQ(batches[0].contexts, (std::vector<std::size_t>{0, 1}));
  EXPECT_EQ(batches[0].lanes, 3U);
  EXPECT_EQ(batches[2].lanes, 8U);
  for (const QaBatch& batch : batches) EXPECT_LE(batch.contexts.size() * batch.lanes, 8U);
}

TEST(QaContexts, TheFingerprintIsOfEveryPart) {
  const std::vector<QaItem> items{item("x", "c", {{"q", {"a"}}})};
  const auto print = [](std::vector<QaItem> changed) { return fingerprint_of(multi_turn_contexts(changed, {})); };
  const std::uint64_t usual = print(items);
  EXPECT_EQ(print(items), usual);
  const auto changed = [&](auto change) {
    auto copy = items;
    change(copy.front());
    return print(copy);
  };
  EXPECT_NE(changed([](QaItem& one) { one.id = "y"; }), usual);
  EXPECT_NE(changed([](QaItem& one) { one.context = "d"; }), usual);
  EXPECT_NE(changed([](QaItem& one) { one.questions[0].question = "r"; }), usual);
  EXPECT_NE(changed([](QaItem& one) { one.questions[0].answers = {"b"}; }), usual);
  EXPECT_NE(changed([](QaItem& one) { one.questions[0].answers = {"a", "b"}; }), usual);
  EXPECT_NE(changed([](QaItem& one) { one.sft_conversations = {{{"user", "u"}, {"assistant", "v"}}}; }), usual);
}

}  // namespace
}  // namespace shine
