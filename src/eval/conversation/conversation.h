#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "eval/conversation/answer.h"
#include "eval/qa/answer_options.h"
#include "shine/common/api.h"

namespace shine {

/// How questions are asked: as the test program of the form asks them.
struct ConversationOptions {
  QaForm form = QaForm::multi_turn;
  EvaluationConfig evaluation;
  ChatRules chat{};
};

/// What a method knows a context by.
struct ConversationContext {
  ShownContext shown;              ///< method in_context has it in the prompt
  const LoraTree* lora = nullptr;  ///< one adapter, or none; its tensors are kept
};

/// Questions to one method, one after another. Prompts and answers are, id for id, those that QaEvaluator gives to the
/// first dialogue of the first context of its data: with multi_turn the history holds the method's own answers,
/// cleaned; with one_question every question is alone.
class SHINE_API Conversation {
 public:
  /// Told of every piece of an answer as it becomes certain; false ends the answer.
  using TextObserver = std::function<bool(std::string_view piece)>;

  /// @param models  what they name must outlive this object
  /// Throws ConfigError: a prompt without its mark, a stop token that the tokenizer lacks.
  Conversation(const QaModels& models, Method method, ConversationOptions options, const ConversationContext& context);

  /// Throws ConfigError for a prompt that fills the model's positions or holds a token without an embedding row; then
  /// the conversation is as it was before. An answer that was ended by the observer is part of the history as far as
  /// it was written.
  Answer ask(std::string_view question, const TextObserver& observer = {});

 private:
  FittedPrompt prompt(std::string_view question) const;

  QaModels models_;
  Method method_;
  ConversationOptions options_;
  AnswerOptions answers_;
  DialoguePrompts prompts_;
  ShownContext shown_;
  GenerationSession session_;
  std::vector<ChatMessage> history_;
  std::uint64_t seed_ = 0, round_ = 0;
};

}  // namespace shine
