#include "app/generate/answer_lines.h"

#include <nlohmann/json.hpp>

#include "common/format.h"
#include "config/enum_value.h"
#include "shine/common/str.h"

namespace shine {
namespace {

constexpr std::size_t kLabelWidth = 12;

}  // namespace

std::string answer_json(const Answer& answer) {
  const nlohmann::ordered_json object{
      {"method", enum_name(answer.method)}, {"question", answer.question}, {"answer", answer.text},
      {"prompt_ids", answer.prompt_ids},    {"answer_ids", answer.ids},    {"finish", enum_name(answer.end)},
      {"seconds", answer.seconds}};
  return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string answer_cuts(const Answer& answer) {
  if (answer.turns_left_out > 0) {
    return str("the oldest turns were left out of a prompt that was too long, ", answer.turns_left_out,
               " in all (evaluation.conversation_max_length, or the model's positions)");
  }
  if (!answer.over_long) return {};
  return "the question is longer than evaluation.conversation_max_length and was asked whole";
}

std::string answer_speed(const Answer& answer) {
  std::string text = str("prompt ", answer.prompt_ids.size(), " tokens, answer ", answer.ids.size(), " tokens, ",
                         format("first after %.3f s", answer.first_token_seconds));
  if (answer.tokens_per_second() > 0) text += format(", then %.0f tokens/s", answer.tokens_per_second());
  if (answer.end == AnswerEnd::length) text += "; ended at its longest";
  return text;
}

AnswerPrinter::AnswerPrinter(std::function<void(std::string_view)> write, bool labelled)
    : write_(std::move(write)), labelled_(labelled) {}

void AnswerPrinter::begin(Method method) {
  if (!labelled_) return;
  std::string label(enum_name(method));
  label.resize(kLabelWidth, ' ');
  write_(label);
}

void AnswerPrinter::add(std::string_view piece) {
  std::string text;
  for (const char c : piece) {
    text += c;
    if (c == '\n' && labelled_) text.append(kLabelWidth, ' ');
  }
  if (!text.empty()) write_(text);
}

void AnswerPrinter::end() {
  write_("\n");
}

}  // namespace shine
