#include "eval/conversation/conversation.h"

#include <algorithm>
#include <optional>

#include "common/timer.h"
#include "eval/qa/qa_metrics.h"
#include "shine/common/error.h"

namespace shine {
namespace {

/// Turns ids into an answer as they come.
class AnswerWriter {
 public:
  AnswerWriter(const Tokenizer& tokenizer, Answer& answer, const Conversation::TextObserver& observer)
      : decoder_(tokenizer, /*skip_special=*/true), answer_(answer), observer_(observer) {}

  bool push(std::int64_t id) {
    if (!first_token_) first_token_ = timer_.seconds();
    return show(decoder_.push(id));
  }

  void finish(const GeneratedText& written) {
    show(decoder_.finish());
    answer_.ids = written.ids;
    answer_.seconds = timer_.seconds();
    answer_.first_token_seconds = first_token_.value_or(answer_.seconds);
    answer_.end = interrupted_ ? AnswerEnd::interrupted : written.stopped ? AnswerEnd::stop : AnswerEnd::length;
  }

 private:
  bool show(const std::string& piece) {
    answer_.text += piece;
    if (observer_ && !observer_(piece)) interrupted_ = true;
    return !interrupted_;
  }

  StreamDecoder decoder_;
  Answer& answer_;
  const Conversation::TextObserver& observer_;
  Timer timer_;
  std::optional<double> first_token_;
  bool interrupted_ = false;
};

}  // namespace

Conversation::Conversation(const QaModels& models, Method method, ConversationOptions options,
                           const ConversationContext& context)
    : models_(models),
      method_(method),
      options_(std::move(options)),
      answers_(answer_options(options_.evaluation, options_.form, models_, options_.chat.format)),
      prompts_(method, options_.form, options_.evaluation.prompts, models_.tokenizer, options_.chat),
      shown_(context.shown),
      session_(models_.decoder, context.lora, /*rows=*/1),
      seed_(batch_seed(options_.evaluation, /*batch=*/0)) {}

FittedPrompt Conversation::prompt(std::string_view question) const {
  FittedPrompt fitted = prompts_.prompt(shown_, history_, question, answers_.limits);
  const std::string obstacle = token_without_row(models_, *std::ranges::max_element(fitted.ids));
  if (!obstacle.empty()) throw ConfigError(obstacle);
  return fitted;
}

Answer Conversation::ask(std::string_view question, const TextObserver& observer) {
  Answer answer;
  AnswerWriter writer(models_.tokenizer, answer, observer);
  answer.method = method_;
  answer.question = question;
  FittedPrompt fitted = prompt(question);
  answer.turns_left_out = fitted.turns_left_out;
  answer.over_long = fitted.over_long;
  answer.prompt_ids = std::move(fitted.ids);
  GenerationOptions generation = answers_.generation;
  generation.seed = round_seed(seed_, round_);
  const std::vector<GeneratedText> written =
      session_.generate({answer.prompt_ids}, generation, [&](std::size_t, std::int64_t id) { return writer.push(id); });
  writer.finish(written.front());
  ++round_;
  if (options_.form == QaForm::one_question) return answer;
  history_.push_back({"user", answer.question});
  history_.push_back({"assistant", clean_answer(answer.text)});
  return answer;
}

}  // namespace shine
