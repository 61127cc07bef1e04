// A conversation against the evaluator, whose answers a greedy loop without a cache checks.
#include "eval/conversation/conversation.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "data/byte_tokenizer.h"
#include "decoder/tiny_model.h"
#include "eval/qa/qa_evaluator.h"
#include "shine/common/error.h"
#include "support/faults.h"

namespace shine::test {
namespace {

using Ids = std::vector<std::int64_t>;

DecoderConfig byte_config() {
  DecoderConfig config = tiny_config();
  config.vocab_size = ByteTokenizer().size();
  config.max_positions = 600;
  return config;
}

class ConversationTest : public testing::Test {
 protected:
  ConversationTest() {
    options_.evaluation.decoding.max_new_tokens = 6;
    options_.evaluation.conversation_max_length = 260;
  }

  QaModels models() const { return {*decoder_, hypernetwork_.get(), tokenizer_}; }

  std::vector<QaContext> contexts() const {
    QaContext context{"note", "", {text_}, {}, {}};
    for (const char* question : {"one?", "two, and longer?", "three?", "four?"}) {
      const QaQuestion asked{question, {"a"}};
      if (options_.form == QaForm::multi_turn && !context.dialogues.empty()) {
        context.dialogues.front().push_back(asked);
      } else {
        context.dialogues.push_back({asked});
      }
    }
    return {context};
  }

  std::vector<PromptRecord> evaluated(Method method) const {
    EvaluationConfig evaluation = options_.evaluation;
    evaluation.batch_size = 1;
    const QaEvaluator evaluator(models(), contexts(), {options_.form, {method}, evaluation, options_.chat});
    return evaluator.run(evaluator.units().front())->prompts;
  }

  LoraTree lora() const {
    const at::NoGradGuard no_grad;
    const Ids ids = tokenizer_.encode(text_).ids;
    return hypernetwork_->generate(TokenRows::pack({ids}, at::kCPU)).tree;
  }

  Conversation conversation(Method method, const LoraTree* lora = nullptr) const {
    const auto tokens = static_cast<std::int64_t>(tokenizer_.encode(text_).ids.size());
    return {models(), method, options_, {{text_, tokens}, lora}};
  }

  void expect_evaluated(Method method, const LoraTree* lora = nullptr) const {
    SCOPED_TRACE(static_cast<int>(method));
    Conversation talk = conversation(method, lora);
    const std::vector<PromptRecord> records = evaluated(method);
    std::size_t number = 0;
    const std::vector<QaContext> all = contexts();
    for (const auto& dialogue : all.front().dialogues) {
      for (const QaQuestion& turn : dialogue) {
        std::string streamed;
        const Answer answer = talk.ask(turn.question, [&](std::string_view piece) {
          streamed += piece;
          return true;
        });
        EXPECT_EQ(answer.prompt_ids, records[number].prompt_ids) << number;
        EXPECT_EQ(answer.ids, records[number].ids) << number;
        EXPECT_EQ(answer.text, tokenizer_.decode(answer.ids, /*skip_special=*/true));
        EXPECT_EQ(streamed, answer.text);
        EXPECT_EQ(answer.end, AnswerEnd::length);
        EXPECT_GE(answer.seconds, answer.first_token_seconds);
        EXPECT_GT(answer.first_token_seconds, 0.0);
        ++number;
      }
    }
    EXPECT_EQ(number, records.size());
  }

  void expect_all_evaluated() const {
    const LoraTree tree = lora();
    expect_evaluated(Method::naive);
    expect_evaluated(Method::in_context);
    expect_evaluated(Method::shine, &tree);
  }

  ByteTokenizer tokenizer_;
  std::string text_ = "the text of a note";
  std::unique_ptr<Decoder> decoder_ = tiny_decoder(byte_config());
  std::unique_ptr<Hypernetwork> hypernetwork_ = tiny_hypernetwork(*decoder_);
  ConversationOptions options_;
};

TEST_F(ConversationTest, IdsAreThoseOfTheEvaluator) {
  expect_all_evaluated();
}

TEST_F(ConversationTest, QuestionsByThemselvesToo) {
  options_.form = QaForm::one_question;
  expect_all_evaluated();
}

TEST_F(ConversationTest, SampledOnesToo) {
  options_.evaluation.decoding.temperature = 1.5;
  options_.evaluation.prompts.empty_think_block = true;
  expect_all_evaluated();
  const Ids drawn = conversation(Method::naive).ask("one?").ids;
  options_.evaluation.seed = 7;
  EXPECT_NE(conversation(Method::naive).ask("one?").ids, drawn);
}

TEST_F(ConversationTest, TurnsThatAreLeftOutAreCounted) {
  options_.evaluation.conversation_max_length = 45;
  options_.evaluation.prompts.multi_turn_naive = "";
  Conversation talk = conversation(Method::naive);
  EXPECT_EQ(talk.ask("one?").turns_left_out, 0);
  EXPECT_EQ(talk.ask("two?").turns_left_out, 1);
  const Answer over = talk.ask(std::string(80, 'x'));
  EXPECT_EQ(over.turns_left_out, 2);
  EXPECT_TRUE(over.over_long);
}

TEST_F(ConversationTest, AReaderEndsAnAnswerAndTheTalkGoesOn) {
  options_.form = QaForm::one_question;
  options_.evaluation.decoding.max_new_tokens = 40;
  const Answer whole = conversation(Method::naive).ask("one?");
  Conversation talk = conversation(Method::naive);
  std::size_t pieces = 0;
  const Answer begun = talk.ask("one?", [&](std::string_view) { return ++pieces < 3; });
  EXPECT_EQ(begun.end, AnswerEnd::interrupted);
  EXPECT_EQ(begun.ids, Ids(whole.ids.begin(), whole.ids.begin() + 3));
  EXPECT_EQ(talk.ask("one?").ids, whole.ids);
}

TEST_F(ConversationTest, AFaultLeavesItAsItWas) {
  Conversation talk = conversation(Method::naive);
  options_.evaluation.conversation_max_length = 2000;
  Conversation longer = conversation(Method::naive);
  expect_fault<ConfigError>("leaves no position for an answer", [&] { longer.ask(std::string(900, 'x')); });
  expect_fault<Error>("enough", [&] { talk.ask("one?", [](std::string_view) -> bool { throw Error("enough"); }); });
  for (Conversation* const each : {&talk, &longer}) {
    EXPECT_EQ(each->ask("two?").ids, conversation(Method::naive).ask("two?").ids);
  }
}

TEST_F(ConversationTest, ATokenWithoutARowIsRefused) {
  tokenizer_.add_tokens(std::vector<AddedToken>{{.content = "<new>"}});
  Conversation talk = conversation(Method::naive);
  expect_fault<ConfigError>("a text holds <new>, a token without an embedding row", [&] { talk.ask("a <new> one"); });
  EXPECT_FALSE(talk.ask("one?").ids.empty());
}

}  // namespace
}  // namespace shine::test
