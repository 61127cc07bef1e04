#include "data/qa/qa_prompts.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "data/byte_tokenizer.h"
#include "shine/common/error.h"
#include "shine/text/chat_template.h"
#include "support/faults.h"

namespace shine {
namespace {

const PromptConfig kPrompts{.multi_turn_in_context = "M {context}",
                            .multi_turn_naive = "N",
                            .question_system = "S",
                            .question_system_in_context = "",
                            .question_in_context = "{context} | {question}",
                            .question_naive = "? {question}"};

std::string rendered(Method method, QaForm form, const PromptConfig& prompts = kPrompts) {
  const std::vector<ChatMessage> history = {{"user", "q0"}, {"assistant", "a0"}};
  const QaPrompts made(method, form, prompts);
  const auto messages = made.messages("C", form == QaForm::multi_turn ? history : std::vector<ChatMessage>{}, "Q");
  std::string text;
  for (const auto& message : messages) text += message.role[0] + (":" + message.content) + ";";
  return text;
}

TEST(QaPrompts, OfEachMethod) {
  for (const Method method : {Method::shine, Method::shuffled}) {
    EXPECT_EQ(rendered(method, QaForm::multi_turn), "u:q0;a:a0;u:Q;");
    EXPECT_EQ(rendered(method, QaForm::one_question), "u:Q;");
  }
  for (const Method method : {Method::naive, Method::sft}) {
    EXPECT_EQ(rendered(method, QaForm::multi_turn), "s:N;u:q0;a:a0;u:Q;");
    EXPECT_EQ(rendered(method, QaForm::one_question), "s:S;u:? Q;");
  }
  EXPECT_EQ(rendered(Method::in_context, QaForm::multi_turn), "s:M C;u:q0;a:a0;u:Q;");
  EXPECT_EQ(rendered(Method::in_context, QaForm::one_question), "s:S;u:C | Q;");
  PromptConfig bare = kPrompts;
  bare.question_system = bare.multi_turn_naive = "";
  EXPECT_EQ(rendered(Method::in_context, QaForm::one_question, bare), "u:C | Q;");
  EXPECT_EQ(rendered(Method::naive, QaForm::multi_turn, bare), "u:q0;a:a0;u:Q;");
  PromptConfig own = kPrompts;
  own.question_system_in_context = "I {context}";
  own.question_in_context = "{question}!";
  EXPECT_EQ(rendered(Method::in_context, QaForm::one_question, own), "s:I C;u:Q!;");
  EXPECT_EQ(rendered(Method::naive, QaForm::one_question, own), "s:S;u:? Q;");
}

TEST(QaPrompts, WhatIsPutInIsNotSearchedAgain) {
  EXPECT_EQ(fill_prompt("{context}-{question}-{other}{", "{question}", "{context}"), "{question}-{context}-{other}{");
  EXPECT_EQ(fill_prompt("{{context}}", "c", "q"), "{c}");
  EXPECT_EQ(fill_prompt("", "c", "q"), "");
}

TEST(QaPrompts, TheDefaultsHaveTheirMarks) {
  for (const Method method : {Method::naive, Method::in_context, Method::sft, Method::shine, Method::shuffled}) {
    for (const QaForm form : {QaForm::multi_turn, QaForm::one_question}) EXPECT_NO_THROW(QaPrompts(method, form, {}));
  }
}

TEST(QaPrompts, RefusesPatternsWithoutTheirMarks) {
  const auto fault = [](Method method, QaForm form, std::string PromptConfig::*key, const char* pattern) {
    PromptConfig prompts = kPrompts;
    prompts.*key = pattern;
    return test::fault_of<ConfigError>([&] { const QaPrompts made(method, form, prompts); });
  };
  using P = PromptConfig;
  const auto one = QaForm::one_question;
  const auto multi = QaForm::multi_turn;
  EXPECT_EQ(fault(Method::in_context, multi, &P::multi_turn_in_context, "x"),
            "evaluation.prompts.multi_turn_in_context: the prompt must have {context}");
  EXPECT_EQ(fault(Method::naive, multi, &P::multi_turn_naive, "{context}"),
            "evaluation.prompts.multi_turn_naive: the prompt must not have {context}");
  EXPECT_EQ(fault(Method::in_context, one, &P::question_in_context, "{question}"),
            "evaluation.prompts.question_in_context: the prompt must have {context}");
  EXPECT_EQ(fault(Method::in_context, one, &P::question_in_context, "{context}"),
            "evaluation.prompts.question_in_context: the prompt must have {question}");
  EXPECT_EQ(fault(Method::sft, one, &P::question_naive, "x"),
            "evaluation.prompts.question_naive: the prompt must have {question}");
  EXPECT_NE(fault(Method::naive, one, &P::question_system, "{context}"), "");
  EXPECT_EQ(fault(Method::shine, one, &P::question_naive, "x"), "");
}

TEST(QaPrompts, IdsEndWithWhatTheAnswerBeginsBehind) {
  const test::ByteTokenizer tokenizer;
  PromptConfig prompts = kPrompts;
  const auto text = [&](Method method, SpecialTokens contents) {
    const QaPrompts made(method, QaForm::one_question, prompts);
    const auto messages = made.messages("a<|im_end|>", {}, "Q");
    const auto ids = made.tokenize(tokenizer, messages, contents);
    if (!prompts.empty_think_block) {
      EXPECT_EQ(ids, tokenize_prompt(tokenizer, messages, contents));
    }
    EXPECT_EQ(
        std::count(ids.begin(), ids.end(), *tokenizer.token_to_id(kMessageEnd)),
        static_cast<int>(messages.size()) + (method == Method::in_context && contents == SpecialTokens::parse ? 1 : 0));
    return tokenizer.decode(ids);
  };
  for (const auto contents : {SpecialTokens::parse, SpecialTokens::escape}) {
    prompts.empty_think_block = false;
    const std::string plain = text(Method::in_context, contents);
    EXPECT_EQ(plain,
              "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\na<|im_end|> | Q<|im_end|>\n<|im_start|>assistant\n");
    const std::string shine = text(Method::shine, contents);
    prompts.empty_think_block = true;
    EXPECT_EQ(text(Method::in_context, contents), plain + "<think>\n\n</think>\n\n");
    EXPECT_EQ(text(Method::shine, contents), shine);
  }
}

}  // namespace
}  // namespace shine
