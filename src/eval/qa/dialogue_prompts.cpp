#include "eval/qa/dialogue_prompts.h"

#include <algorithm>

namespace shine {

DialoguePrompts::DialoguePrompts(Method method, QaForm form, const PromptConfig& prompts, const Tokenizer& tokenizer,
                                 const ChatRules& rules)
    : prompts_(method, form, prompts),
      shows_context_(method == Method::in_context),
      tokenizer_(tokenizer),
      rules_(rules) {}

FittedPrompt DialoguePrompts::prompt(const ShownContext& context, std::span<const ChatMessage> history,
                                     std::string_view question, const PromptLimits& limits) const {
  const std::int64_t longest = limits.conversation_max_length + (shows_context_ ? context.tokens : 0);
  FittedPrompt fitted;
  fitted.ids =
      prompts_.tokenize(tokenizer_, prompts_.messages(context.text, history, question), rules_.contents, rules_.format);
  const auto length = static_cast<std::int64_t>(fitted.ids.size());
  const bool in_window = length <= longest;
  const bool in_model = limits.max_positions == 0 || length + limits.max_new_tokens <= limits.max_positions;
  fitted.over_long = !in_window;
  if (history.empty() || (in_window && in_model)) return fitted;
  FittedPrompt shorter = prompt(context, history.subspan(2), question, limits);  // without the oldest turn
  ++shorter.turns_left_out;
  return shorter;
}

PromptExtent DialoguePrompts::extent(const QaContext& context) const {
  const ShownContext shown{shows_context_ ? context.joined() : "", 0};
  PromptExtent extent;
  for (const auto& dialogue : context.dialogues) {
    for (const QaQuestion& turn : dialogue) {
      const FittedPrompt alone = prompt(shown, {}, turn.question, {});
      extent.longest = std::max(extent.longest, static_cast<std::int64_t>(alone.ids.size()));
      for (const std::int64_t id : alone.ids) extent.highest_id = std::max(extent.highest_id, id);
    }
  }
  return extent;
}

std::vector<RenderedConversation> DialoguePrompts::right_dialogues(const QaContext& context) const {
  const std::string text = shows_context_ ? context.joined() : "";
  std::vector<RenderedConversation> rendered;
  for (const auto& dialogue : context.dialogues) {
    std::vector<ChatMessage> messages = prompts_.opening(text);
    for (const QaQuestion& turn : dialogue) {
      messages.push_back(prompts_.ask(text, turn.question));
      messages.push_back({"assistant", turn.answers.front()});
    }
    rendered.push_back(tokenize_chat(tokenizer_, messages, rules_.contents, rules_.format));
  }
  return rendered;
}

}  // namespace shine
