#include "eval/qa/dialogue_prompts.h"

#include <gtest/gtest.h>

#include "data/byte_tokenizer.h"

namespace shine {
namespace {

const PromptConfig kPrompts{.multi_turn_in_context = "{context}",
                            .multi_turn_naive = "N",
                            .question_system = "",
                            .question_system_in_context = ""};

class DialoguePromptsTest : public testing::Test {
 protected:
  DialoguePrompts prompts(Method method, QaForm form = QaForm::multi_turn) const {
    return {method, form, kPrompts, tokenizer_, {SpecialTokens::parse}};
  }
  std::string text(const FittedPrompt& fitted) const { return tokenizer_.decode(fitted.ids); }

  test::ByteTokenizer tokenizer_;
  const std::vector<ChatMessage> history_{{"user", "q1"}, {"assistant", "a1"}, {"user", "q2"}, {"assistant", "a2"}};
};

// Tokens of a byte tokenizer: user turn "<|im_start|>user\nq1<|im_end|>\n" 10, assistant turn 15, what the answer
// begins behind 11.
constexpr std::int64_t kTurn = 25, kQuestion = 21;

TEST_F(DialoguePromptsTest, AllTurnsWhereTheyFit) {
  const FittedPrompt fitted = prompts(Method::shine).prompt({}, history_, "q3", {2 * kTurn + kQuestion, 0, 0});
  EXPECT_EQ(fitted.turns_left_out, 0);
  EXPECT_EQ(fitted.ids.size(), static_cast<std::size_t>(2 * kTurn + kQuestion));
  EXPECT_EQ(text(fitted).find("<|im_start|>user\nq1<|im_end|>\n<|im_start|>assistant\na1<|im_end|>\n"), 0U);
}

TEST_F(DialoguePromptsTest, TheOldestTurnsAreLeftOut) {
  const FittedPrompt one = prompts(Method::shine).prompt({}, history_, "q3", {2 * kTurn + kQuestion - 1, 0, 0});
  EXPECT_EQ(one.turns_left_out, 1);
  EXPECT_EQ(text(one).find("<|im_start|>user\nq2"), 0U);
  const FittedPrompt both = prompts(Method::shine).prompt({}, history_, "q3", {1, 0, 0});
  EXPECT_EQ(both.turns_left_out, 2);
  EXPECT_EQ(text(both), "<|im_start|>user\nq3<|im_end|>\n<|im_start|>assistant\n");
}

TEST_F(DialoguePromptsTest, TheAnswerMustFitIntoTheModelToo) {
  const std::int64_t whole = 2 * kTurn + kQuestion;
  EXPECT_EQ(prompts(Method::shine).prompt({}, history_, "q3", {1000, whole + 5, 5}).turns_left_out, 0);
  EXPECT_EQ(prompts(Method::shine).prompt({}, history_, "q3", {1000, whole + 5, 6}).turns_left_out, 1);
}

TEST_F(DialoguePromptsTest, AShownContextIsNeverCutAndDoesNotCount) {
  const std::string context(100, 'x');
  const std::int64_t system = 10;  // "<|im_start|>system\n<|im_end|>\n"
  const PromptLimits limits{2 * kTurn + kQuestion + system, 0, 0};
  const FittedPrompt fitted = prompts(Method::in_context).prompt({context, 100}, history_, "q3", limits);
  EXPECT_EQ(fitted.turns_left_out, 0);
  EXPECT_EQ(fitted.ids.size(), static_cast<std::size_t>(limits.conversation_max_length + 100));
  const FittedPrompt tight = prompts(Method::in_context).prompt({context, 100}, history_, "q3", {1, 0, 0});
  EXPECT_NE(text(tight).find(context), std::string::npos);
  EXPECT_EQ(tight.turns_left_out, 2);
  EXPECT_EQ(prompts(Method::naive).prompt({context, 100}, history_, "q3", limits).turns_left_out, 1);
}

TEST_F(DialoguePromptsTest, AQuestionLongerThanTheWindowIsSaidToBe) {
  EXPECT_FALSE(prompts(Method::shine).prompt({}, history_, "q3", {kQuestion, 0, 0}).over_long);
  const FittedPrompt fitted = prompts(Method::shine).prompt({}, history_, "q3", {kQuestion - 1, 0, 0});
  EXPECT_TRUE(fitted.over_long);
  EXPECT_EQ(fitted.turns_left_out, 2);
  EXPECT_EQ(fitted.ids.size(), static_cast<std::size_t>(kQuestion)) << "asked whole";
  EXPECT_FALSE(prompts(Method::shine).prompt({}, {}, "q3", {kQuestion, kQuestion + 1, 500}).over_long)
      << "the model's positions are another limit";
}

TEST_F(DialoguePromptsTest, TheExtentIsOfQuestionsAlone) {
  QaContext context{"x", "", {std::string(50, 'c')}, {{{"q1", {"a"}}, {"longer", {"a"}}}}, {}};
  const std::int64_t longest = kQuestion + 4;
  EXPECT_EQ(prompts(Method::shine).extent(context).longest, longest);
  EXPECT_GT(prompts(Method::in_context).extent(context).longest, longest + 50);
  EXPECT_EQ(prompts(Method::shine).extent(context).highest_id, require_token(tokenizer_, kMessageEnd));
  context.texts = {"<RECON>"};
  EXPECT_EQ(prompts(Method::shine).extent(context).highest_id, require_token(tokenizer_, kMessageEnd));
  EXPECT_EQ(prompts(Method::in_context).extent(context).highest_id, require_token(tokenizer_, kReconstruct));
}

TEST_F(DialoguePromptsTest, RightDialoguesHaveTheFirstAnswerLabelled) {
  const QaContext context{"x", "", {"c"}, {{{"q1", {"a", "b"}}, {"q2", {"d"}}}, {{"q3", {"e"}}}}, {}};
  const auto rendered = prompts(Method::sft).right_dialogues(context);
  ASSERT_EQ(rendered.size(), 2U);
  EXPECT_EQ(tokenizer_.decode(rendered[0].ids),
            "<|im_start|>system\nN<|im_end|>\n<|im_start|>user\nq1<|im_end|>\n<|im_start|>assistant\na<|im_end|>\n"
            "<|im_start|>user\nq2<|im_end|>\n<|im_start|>assistant\nd<|im_end|>\n");
  std::vector<std::int64_t> labelled;
  for (const std::int64_t label : rendered[0].labels) {
    if (label != kIgnoredLabel) labelled.push_back(label);
  }
  EXPECT_EQ(tokenizer_.decode(labelled), "a<|im_end|>\nd<|im_end|>\n");
  EXPECT_EQ(prompts(Method::sft, QaForm::one_question).right_dialogues(context).size(), 2U);
}

}  // namespace
}  // namespace shine
