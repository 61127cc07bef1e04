#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/qa/qa_prompts.h"
#include "eval/qa/qa_contexts.h"
#include "shine/text/chat_template.h"

namespace shine {

/// Lengths in tokens.
struct PromptLimits {
  std::int64_t conversation_max_length = 0;  ///< of a prompt without the context that in_context shows
  std::int64_t max_positions = 0;            ///< of the model; 0: no limit
  std::int64_t max_new_tokens = 0;
};

/// A context as a prompt may show it.
struct ShownContext {
  std::string text;
  std::int64_t tokens = 0;
};

/// A prompt, without the oldest turns where all together were too long.
struct FittedPrompt {
  std::vector<std::int64_t> ids;
  std::int64_t turns_left_out = 0;
  bool over_long = false;  ///< too long even without earlier turns: the question is asked whole anyway
};

/// The longest prompt and the highest id among a context's questions, each without history.
struct PromptExtent {
  std::int64_t longest = 0;     ///< tokens
  std::int64_t highest_id = 0;  ///< token id
};

/// The prompts of one method, turn after turn. Of a history too long for conversation_max_length, or for the model's
/// positions with the answer behind it, the oldest turns are left out; the question and a shown context are never cut.
class DialoguePrompts {
 public:
  /// Throws what QaPrompts throws. `tokenizer` must outlive this object.
  DialoguePrompts(Method method, QaForm form, const PromptConfig& prompts, const Tokenizer& tokenizer,
                  const ChatRules& rules);

  /// @param history  user and assistant in turn
  FittedPrompt prompt(const ShownContext& context, std::span<const ChatMessage> history, std::string_view question,
                      const PromptLimits& limits) const;

  PromptExtent extent(const QaContext& context) const;

  /// Every dialogue of the context with the right answers, rendered with labels on the answers: for the loss on the
  /// real questions.
  std::vector<RenderedConversation> right_dialogues(const QaContext& context) const;

 private:
  QaPrompts prompts_;
  bool shows_context_ = false;
  const Tokenizer& tokenizer_;
  ChatRules rules_;
};

}  // namespace shine
