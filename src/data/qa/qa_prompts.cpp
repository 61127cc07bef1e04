#include "data/qa/qa_prompts.h"

#include <algorithm>

#include "shine/common/error.h"
#include "shine/text/chat_template.h"

namespace shine {
namespace {

constexpr std::string_view kContextMark = "{context}";
constexpr std::string_view kQuestionMark = "{question}";
constexpr std::string_view kEmptyThinkBlock = "<think>\n\n</think>\n\n";

bool has_mark(std::string_view pattern, std::string_view mark) {
  return pattern.find(mark) != std::string_view::npos;
}

void check_mark(std::string_view pattern, std::string_view mark, bool wanted, std::string_view key) {
  if (has_mark(pattern, mark) == wanted) return;
  throw ConfigError(str("the prompt must ", wanted ? "have " : "not have ", mark), str("evaluation.prompts.", key));
}

}  // namespace

std::string fill_prompt(std::string_view pattern, std::string_view context, std::string_view question) {
  std::string text;
  while (!pattern.empty()) {
    const std::size_t mark = std::min(pattern.find('{'), pattern.size());
    text += pattern.substr(0, mark);
    pattern.remove_prefix(mark);
    if (pattern.starts_with(kContextMark)) {
      text += context;
      pattern.remove_prefix(kContextMark.size());
    } else if (pattern.starts_with(kQuestionMark)) {
      text += question;
      pattern.remove_prefix(kQuestionMark.size());
    } else if (!pattern.empty()) {
      text += pattern.front();
      pattern.remove_prefix(1);
    }
  }
  return text;
}

QaPrompts::QaPrompts(Method method, QaForm form, const PromptConfig& prompts) {
  if (method == Method::shine || method == Method::shuffled) return;
  const bool shows_context = method == Method::in_context;
  think_block_ = prompts.empty_think_block;
  if (form == QaForm::multi_turn) {
    system_pattern_ = shows_context ? prompts.multi_turn_in_context : prompts.multi_turn_naive;
    const auto key = shows_context ? "multi_turn_in_context" : "multi_turn_naive";
    check_mark(system_pattern_, kContextMark, shows_context, key);
    check_mark(system_pattern_, kQuestionMark, false, key);
    return;
  }
  const bool own_system = shows_context && !prompts.question_system_in_context.empty();
  system_pattern_ = own_system ? prompts.question_system_in_context : prompts.question_system;
  user_pattern_ = shows_context ? prompts.question_in_context : prompts.question_naive;
  const auto system_key = own_system ? "question_system_in_context" : "question_system";
  const auto key = shows_context ? "question_in_context" : "question_naive";
  if (!own_system) check_mark(system_pattern_, kContextMark, false, system_key);
  check_mark(system_pattern_, kQuestionMark, false, system_key);
  if (!has_mark(system_pattern_, kContextMark)) check_mark(user_pattern_, kContextMark, shows_context, key);
  check_mark(user_pattern_, kQuestionMark, true, key);
}

std::vector<ChatMessage> QaPrompts::opening(std::string_view context) const {
  if (system_pattern_.empty()) return {};
  return {{"system", fill_prompt(system_pattern_, context, {})}};
}

ChatMessage QaPrompts::ask(std::string_view context, std::string_view question) const {
  return {"user", fill_prompt(user_pattern_, context, question)};
}

std::vector<ChatMessage> QaPrompts::messages(std::string_view context, std::span<const ChatMessage> history,
                                             std::string_view question) const {
  std::vector<ChatMessage> all = opening(context);
  all.insert(all.end(), history.begin(), history.end());
  all.push_back(ask(context, question));
  return all;
}

std::vector<std::int64_t> QaPrompts::tokenize(const Tokenizer& tokenizer, std::span<const ChatMessage> messages,
                                              SpecialTokens contents, const ChatFormat& format) const {
  return tokenize_prompt(tokenizer, messages, contents, format, think_block_ ? kEmptyThinkBlock : "");
}

}  // namespace shine
