// The evaluator against a greedy loop that recomputes everything at every token.
#include "eval/qa/qa_evaluator.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "data/byte_tokenizer.h"
#include "decoder/tiny_model.h"
#include "eval/qa/qa_metrics.h"
#include "shine/common/error.h"
#include "shine/eval/context_lora.h"
#include "shine/text/chat_template.h"

namespace shine::test {
namespace {

DecoderConfig byte_config() {
  DecoderConfig config = tiny_config();
  config.vocab_size = ByteTokenizer().size();
  config.max_positions = 600;
  return config;
}

QaContext context(const std::string& id, std::vector<std::vector<QaQuestion>> dialogues) {
  return {id, "source " + id, {"the text of " + id}, std::move(dialogues), {}};
}

std::vector<QaContext> three_contexts() {
  std::vector<QaContext> contexts{context("x", {{{"one?", {"a"}}, {"two?", {"b", "c"}}, {"three?", {"d"}}}}),
                                  context("yy", {{{"four?", {"e"}}}, {{"five?", {"f"}}, {"six?", {"g"}}}}),
                                  context("zzz", {{{"seven?", {"h"}}, {"eight?", {"i"}}}})};
  contexts[0].sft_conversations = {{{"user", "u"}, {"assistant", "v"}}, {{"user", "w"}, {"assistant", "longer"}}};
  contexts[2].sft_conversations = {{{"user", "k"}, {"assistant", "l"}}};
  return contexts;
}

class QaEvaluatorTest : public testing::Test {
 protected:
  QaEvaluatorTest() {
    options_.form = QaForm::multi_turn;
    options_.evaluation.decoding.max_new_tokens = 6;
    options_.evaluation.batch_size = 4;
    options_.evaluation.sft.rank = 2;
    options_.evaluation.sft.epochs = 2;
    options_.evaluation.sft.learning_rate = 0.05;
  }

  QaEvaluator evaluator(std::vector<Method> methods, std::vector<QaContext> contexts = three_contexts()) {
    options_.methods = std::move(methods);
    return {{*decoder_, hypernetwork_.get(), tokenizer_, end_tokens_}, std::move(contexts), options_};
  }

  static EvaluationResults run_all(const QaEvaluator& evaluator) {
    EvaluationResults all;
    for (const QaUnit& unit : evaluator.units()) {
      const auto results = evaluator.run(unit);
      all.answers.insert(all.answers.end(), results->records.answers.begin(), results->records.answers.end());
      all.contexts.insert(all.contexts.end(), results->records.contexts.begin(), results->records.contexts.end());
    }
    return all;
  }

  /// Greedy, one row, everything computed anew for each token.
  std::string reference_answer(const std::vector<ChatMessage>& messages, const LoraTree* lora) const {
    const at::NoGradGuard no_grad;
    std::vector<std::int64_t> ids = tokenize_prompt(tokenizer_, messages, SpecialTokens::parse, options_.chat.format),
                              written;
    while (written.size() < 6) {
      const at::Tensor hidden = decoder_->forward(TokenRows::pack({ids}, at::kCPU), lora);
      const auto next = decoder_->logits(hidden)[-1].argmax().item<std::int64_t>();
      if (next == *tokenizer_.token_to_id(options_.chat.format.answer_end)) break;
      ids.push_back(next);
      written.push_back(next);
    }
    return tokenizer_.decode(written, /*skip_special=*/true);
  }

  /// The method's answers to all dialogues of a context, with its own cleaned answers in the history.
  std::vector<std::string> reference_answers(Method method, const QaContext& context, const LoraTree* lora) const {
    const QaPrompts prompts(method, options_.form, options_.evaluation.prompts);
    std::vector<std::string> answers;
    for (const auto& dialogue : context.dialogues) {
      std::vector<ChatMessage> history;
      for (const QaQuestion& turn : dialogue) {
        answers.push_back(reference_answer(prompts.messages(context.joined(), history, turn.question), lora));
        history.push_back({"user", turn.question});
        history.push_back({"assistant", clean_answer(answers.back())});
      }
    }
    return answers;
  }

  LoraTree lora_of(const QaContext& context) const {
    const at::NoGradGuard no_grad;
    const auto ids = context_ids(context, tokenizer_, SpecialTokens::parse);
    return hypernetwork_->generate(TokenRows::pack({ids}, at::kCPU)).tree;
  }

  static std::vector<std::string> raw_of(const EvaluationResults& results, Method method, const std::string& id) {
    std::vector<std::string> raw;
    for (const AnswerRecord& record : results.answers) {
      if (record.method == method && record.item == id) raw.push_back(record.raw);
    }
    return raw;
  }

  ByteTokenizer tokenizer_;
  std::unique_ptr<Decoder> decoder_ = tiny_decoder(byte_config());
  std::unique_ptr<Hypernetwork> hypernetwork_ = tiny_hypernetwork(*decoder_);
  std::vector<std::int64_t> end_tokens_;
  QaEvaluationOptions options_;
};

TEST_F(QaEvaluatorTest, AnswersAreThoseOfTheReferenceLoop) {
  const auto contexts = three_contexts();
  const auto results = run_all(evaluator({Method::naive, Method::in_context, Method::shine}));
  for (const QaContext& one : contexts) {
    const LoraTree lora = lora_of(one);
    EXPECT_EQ(raw_of(results, Method::naive, one.id), reference_answers(Method::naive, one, nullptr));
    EXPECT_EQ(raw_of(results, Method::in_context, one.id), reference_answers(Method::in_context, one, nullptr));
    EXPECT_EQ(raw_of(results, Method::shine, one.id), reference_answers(Method::shine, one, &lora));
  }
  EXPECT_NE(raw_of(results, Method::naive, "x"), raw_of(results, Method::in_context, "x"));
  EXPECT_NE(raw_of(results, Method::naive, "x"), raw_of(results, Method::shine, "x"));
}

TEST_F(QaEvaluatorTest, AnotherChatFormatHasItsOwnPromptsAndEnd) {
  const auto contexts = three_contexts();
  const auto chatml = raw_of(run_all(evaluator({Method::in_context})), Method::in_context, "x");
  options_.chat.format = plain_format(std::string(kTextEnd));
  const auto plain = run_all(evaluator({Method::in_context}));
  for (const QaContext& one : contexts) {
    EXPECT_EQ(raw_of(plain, Method::in_context, one.id), reference_answers(Method::in_context, one, nullptr));
  }
  EXPECT_NE(raw_of(plain, Method::in_context, "x"), chatml);

  const auto first_ids = [&] {
    const QaEvaluator made = evaluator({Method::naive});
    return made.run(made.units().front())->prompts.front().ids;
  };
  const std::vector<std::int64_t> whole = first_ids();
  ASSERT_FALSE(whole.empty());
  options_.chat.format.answer_end = tokenizer_.id_to_token(whole.back());
  EXPECT_EQ(first_ids(), (std::vector<std::int64_t>{whole.begin(), std::ranges::find(whole, whole.back())}));
}

TEST_F(QaEvaluatorTest, OneQuestionEachIsAskedAlone) {
  options_.form = QaForm::one_question;
  std::vector<QaContext> contexts = three_contexts();
  for (QaContext& one : contexts) {
    std::vector<std::vector<QaQuestion>> alone;
    for (const auto& dialogue : one.dialogues) {
      for (const QaQuestion& question : dialogue) alone.push_back({question});
    }
    one.dialogues = alone;
  }
  const QaEvaluator made = evaluator({Method::in_context, Method::shine}, contexts);
  EXPECT_EQ(made.units().front().lanes, 3U) << "rows that share one LoRA";
  const auto results = run_all(made);
  for (const QaContext& one : contexts) {
    const LoraTree lora = lora_of(one);
    EXPECT_EQ(raw_of(results, Method::in_context, one.id), reference_answers(Method::in_context, one, nullptr));
    EXPECT_EQ(raw_of(results, Method::shine, one.id), reference_answers(Method::shine, one, &lora));
  }
}

TEST_F(QaEvaluatorTest, ShuffledHasTheLoraOfAnotherContext) {
  const auto contexts = three_contexts();
  const auto others = other_contexts(contexts, static_cast<std::uint64_t>(options_.evaluation.seed));
  const auto results = run_all(evaluator({Method::shuffled}));
  for (std::size_t i = 0; i < contexts.size(); ++i) {
    const LoraTree lora = lora_of(contexts[others[i]]);
    EXPECT_EQ(raw_of(results, Method::shuffled, contexts[i].id),
              reference_answers(Method::shuffled, contexts[i], &lora));
  }
}

TEST_F(QaEvaluatorTest, SftTrainsOnItsConversationsAlone) {
  const QaEvaluator made = evaluator({Method::sft});
  ASSERT_EQ(made.left_out().size(), 1U);
  EXPECT_EQ(made.left_out().at(Method::sft).contexts, 1U);
  EXPECT_EQ(made.left_out().at(Method::sft).first, "yy");
  const auto results = run_all(made);
  EXPECT_EQ(results.contexts.size(), 2U);
  EXPECT_TRUE(raw_of(results, Method::sft, "yy").empty());
  EXPECT_GT(results.contexts[0].prepare_seconds, 0);
  EXPECT_TRUE(std::isfinite(results.contexts[0].sft_loss));
  const DialoguePrompts naive(Method::naive, options_.form, {}, tokenizer_, {SpecialTokens::parse});
  EXPECT_NEAR(results.contexts[0].sft_loss_before,
              mean_loss(*decoder_, nullptr, naive.right_dialogues(three_contexts()[0])), 1e-5);
  auto other = three_contexts();
  other[0].dialogues[0][0].answers = {"another right answer"};
  EXPECT_EQ(raw_of(run_all(evaluator({Method::sft}, other)), Method::sft, "x"), raw_of(results, Method::sft, "x"))
      << "a right answer leaked into the training";
  options_.evaluation.sft.epochs = 1;
  const auto shorter = run_all(evaluator({Method::sft}));
  EXPECT_NE(shorter.contexts[0].sft_loss, results.contexts[0].sft_loss);
}

TEST_F(QaEvaluatorTest, RecordsSayWhatWasDone) {
  options_.evaluation.context_max_length = 5;
  const QaEvaluator made = evaluator({Method::naive, Method::shine});
  const auto unit = made.run(made.units().front());
  const AnswerRecord& record = unit->records.answers.at(1);
  EXPECT_EQ(record.method, Method::naive);
  EXPECT_EQ(record.item, "x");
  EXPECT_EQ(record.source, "source x");
  EXPECT_EQ(record.question, "two?");
  EXPECT_EQ(record.answers, (std::vector<std::string>{"b", "c"}));
  EXPECT_EQ(record.answer, clean_answer(record.raw));
  EXPECT_EQ(record.decoding_hash, made.decoding_hash());
  EXPECT_EQ(unit->prompts.size(), unit->records.answers.size());
  EXPECT_EQ(record.prompt_tokens, static_cast<std::int64_t>(unit->prompts[1].prompt_ids.size()));
  EXPECT_EQ(record.new_tokens, static_cast<std::int64_t>(unit->prompts[1].ids.size()));
  const auto json = nlohmann::json::parse(prompt_json(unit->prompts[1]));
  EXPECT_EQ(json["item"], "x");
  EXPECT_EQ(json["conversation"], 0);
  EXPECT_EQ(json["turn"], 1);
  EXPECT_EQ(json["method"], "naive");
  EXPECT_EQ(json["prompt_ids"].get<std::vector<std::int64_t>>(), unit->prompts[1].prompt_ids);
  const auto results = run_all(made);
  for (const ContextRecord& one : results.contexts) {
    EXPECT_EQ(one.context_tokens, static_cast<std::int64_t>(std::string("the text of ").size() + one.item.size()));
    EXPECT_EQ(one.context_tokens_cut, one.method == Method::shine ? one.context_tokens - 5 : 0);
    EXPECT_GT(one.answer_seconds, 0);
    EXPECT_EQ(one.batch_contexts, one.item == "zzz" ? 1 : 2);
    EXPECT_EQ(one.prepare_seconds > 0, one.method == Method::shine);
    EXPECT_TRUE(std::isnan(one.sft_loss));
  }
}

TEST_F(QaEvaluatorTest, TurnsAreNumberedInTheirConversation) {
  const auto results = run_all(evaluator({Method::naive}));
  std::vector<std::pair<std::int64_t, std::int64_t>> places;
  for (const AnswerRecord& record : results.answers) {
    if (record.item == "yy") places.emplace_back(record.conversation, record.turn);
  }
  EXPECT_EQ(places, (std::vector<std::pair<std::int64_t, std::int64_t>>{{0, 0}, {1, 0}, {1, 1}}));
}

TEST_F(QaEvaluatorTest, HashesTellPromptsAndDecodingApart) {
  const auto first = run_all(evaluator({Method::naive, Method::in_context}));
  EXPECT_NE(first.answers[0].prompt_hash, first.answers[1].prompt_hash);
  EXPECT_EQ(first.answers[0].prompt_hash, run_all(evaluator({Method::naive})).answers[0].prompt_hash);
  const std::string usual = evaluator({Method::naive}).decoding_hash();
  options_.evaluation.seed = 9;
  options_.evaluation.decoding.cache = false;
  EXPECT_EQ(evaluator({Method::naive}).decoding_hash(), usual) << "greedy: seed and cache change nothing";
  options_.evaluation.decoding.max_new_tokens = 7;
  EXPECT_NE(evaluator({Method::naive}).decoding_hash(), usual);
}

TEST_F(QaEvaluatorTest, AUnitDoesNotDependOnThoseBefore) {
  options_.evaluation.decoding.temperature = 1.0;
  options_.evaluation.batch_size = 1;
  const QaEvaluator made = evaluator({Method::naive, Method::shine});
  const auto all = run_all(made);
  const QaEvaluator fresh = evaluator({Method::naive, Method::shine});
  fresh.warm_up();
  const auto last = fresh.run(fresh.units().back());
  EXPECT_EQ(last->records.answers.back().raw, all.answers.back().raw);
  EXPECT_EQ(last->records.answers.front().prompt_hash, (all.answers.end() - 2)->prompt_hash);
}

TEST_F(QaEvaluatorTest, MethodsOfABatchComeTogether) {
  options_.evaluation.batch_size = 2;
  std::vector<std::pair<std::size_t, Method>> order;
  const QaEvaluator made = evaluator({Method::naive, Method::in_context});
  for (const QaUnit& unit : made.units()) order.emplace_back(unit.batch, unit.method);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end(), [](auto a, auto b) { return a.first < b.first; }));
  EXPECT_EQ(order[0].second, Method::naive);
  EXPECT_EQ(order[1].second, Method::in_context);
}

TEST_F(QaEvaluatorTest, ContextsThatFillTheModelAreLeftOut) {
  auto contexts = three_contexts();
  contexts[1].texts = {std::string(700, 'x')};
  const QaEvaluator made = evaluator({Method::naive, Method::in_context}, contexts);
  ASSERT_EQ(made.left_out().size(), 1U);
  EXPECT_EQ(made.left_out().at(Method::in_context).first, "yy");
  EXPECT_NE(made.left_out().at(Method::in_context).reason.find("600 positions"), std::string::npos);
  const auto results = run_all(made);
  EXPECT_TRUE(raw_of(results, Method::in_context, "yy").empty());
  EXPECT_EQ(raw_of(results, Method::naive, "yy").size(), 3U);
}

TEST_F(QaEvaluatorTest, TextsWithATokenThatHasNoRowAreLeftOut) {
  hypernetwork_.reset();
  DecoderConfig config = byte_config();
  config.vocab_size -= 3;
  decoder_ = tiny_decoder(config);
  auto contexts = three_contexts();
  contexts[0].sft_conversations[1][1].content = "<COMP>";
  contexts[1].texts = {"the text <RECON> of yy"};
  contexts[2].dialogues[0][1].question = "<NOTHING>?";
  const std::vector<Method> methods{Method::naive, Method::in_context, Method::sft};
  const QaEvaluator made = evaluator(methods, contexts);
  EXPECT_EQ(made.left_out().at(Method::naive).contexts, 1U);
  EXPECT_EQ(made.left_out().at(Method::naive).first, "zzz");
  EXPECT_EQ(made.left_out().at(Method::naive).reason,
            "a text holds <NOTHING>, a token without an embedding row (text.special_tokens=escape reads it as text)");
  EXPECT_EQ(made.left_out().at(Method::in_context).contexts, 2U);
  EXPECT_NE(made.left_out().at(Method::in_context).reason.find("<RECON>"), std::string::npos);
  EXPECT_EQ(made.left_out().at(Method::sft).contexts, 3U);
  EXPECT_NE(made.left_out().at(Method::sft).reason.find("<COMP>"), std::string::npos);
  EXPECT_EQ(run_all(made).contexts.size(), 3U);

  options_.chat.contents = SpecialTokens::escape;
  EXPECT_EQ(evaluator({Method::naive, Method::in_context}, contexts).left_out().size(), 0U);
  EXPECT_EQ(run_all(evaluator({Method::in_context}, contexts)).contexts.size(), 3U);
  options_.chat.contents = SpecialTokens::parse;
  decoder_->set_new_token_rows(at::zeros({3, config.hidden_size}));
  EXPECT_TRUE(evaluator({Method::naive, Method::in_context}, contexts).left_out().empty());
}

TEST_F(QaEvaluatorTest, ConversationsForSftThatAreCutAreCounted) {
  auto contexts = three_contexts();
  contexts[0].sft_conversations[1][1].content = std::string(600, 'x');
  const auto results = run_all(evaluator({Method::sft}, contexts));
  ASSERT_EQ(results.contexts.size(), 2U);
  EXPECT_EQ(results.contexts[0].sft_conversations_cut, 1);
  EXPECT_EQ(results.contexts[1].sft_conversations_cut, 0);
}

TEST_F(QaEvaluatorTest, OldTurnsAreCountedWhereTheyAreLeftOut) {
  options_.evaluation.conversation_max_length = 1;
  const auto results = run_all(evaluator({Method::naive}));
  EXPECT_EQ(results.contexts[0].item, "x");
  EXPECT_EQ(results.contexts[0].turns_left_out, 1 + 2);
  EXPECT_EQ(results.contexts[1].turns_left_out, 1);
  EXPECT_EQ(results.contexts[0].questions_over_long, 3);
}

TEST_F(QaEvaluatorTest, EveryEndTokenOfTheModelEndsAnAnswer) {
  const auto first_ids = [&] {
    const QaEvaluator made = evaluator({Method::naive});
    return made.run(made.units().front())->prompts.front().ids;
  };
  const std::vector<std::int64_t> whole = first_ids();
  ASSERT_EQ(whole.size(), 6U);
  ASSERT_NE(whole[3], whole[0]);
  const auto place = std::find(whole.begin(), whole.end(), whole[3]);
  end_tokens_ = {decoder_->config().vocab_size + 9, whole[3], *tokenizer_.token_to_id(kMessageEnd)};
  EXPECT_EQ(first_ids(), (std::vector<std::int64_t>{whole.begin(), place}));
  options_.evaluation.decoding.stop = {"<|im_end|>"};
  EXPECT_EQ(first_ids(), whole) << "the tokens named are the only ones";
}

TEST_F(QaEvaluatorTest, StopsBetweenTurns) {
  int asked = 0;
  options_.stop = [&] { return ++asked > 1; };
  const QaEvaluator made = evaluator({Method::naive});
  EXPECT_FALSE(made.run(made.units().front()));
  EXPECT_EQ(asked, 2);
}

TEST_F(QaEvaluatorTest, RefusesWhatItCannotDo) {
  hypernetwork_.reset();
  EXPECT_THROW(evaluator({Method::shine}), ConfigError);
  EXPECT_NO_THROW(evaluator({Method::naive, Method::in_context, Method::sft}));
  EXPECT_THROW(evaluator({Method::sft}, {three_contexts()[1]}), ConfigError) << "no conversation for SFT";
  options_.evaluation.decoding.stop = {"<|no_such_token|>"};
  EXPECT_THROW(evaluator({Method::naive}), ConfigError);
}

}  // namespace
}  // namespace shine::test
