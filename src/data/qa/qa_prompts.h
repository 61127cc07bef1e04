#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shine/config/evaluation_config.h"
#include "shine/text/chat_format.h"
#include "shine/text/message.h"
#include "shine/text/tokenizer.h"

namespace shine {

/// multi_turn: a sample is a conversation about a context; one_question: a sample is one question with its answer.
enum class QaForm { multi_turn, one_question };

/// The pattern with {context} and {question} replaced. What is inserted is not searched again.
std::string fill_prompt(std::string_view pattern, std::string_view context, std::string_view question);

/// How a method presents a context and asks about it, the same in training and evaluation. Methods shine and shuffled:
/// the question alone. in_context: multi_turn has the context in the system message, one_question in the user's (or in
/// a system message of its own, question_system_in_context). naive and sft: a system message, no context.
class QaPrompts {
 public:
  /// Throws ConfigError naming the key whose pattern lacks {question}, lacks {context} where the method is in_context,
  /// or has {context} where it is naive or sft.
  QaPrompts(Method method, QaForm form, const PromptConfig& prompts);

  /// The system message; none where the method has none or its pattern is empty.
  std::vector<ChatMessage> opening(std::string_view context) const;

  /// The user's message that asks the question.
  ChatMessage ask(std::string_view context, std::string_view question) const;

  /// Opening, the earlier turns as they were said, and the question.
  std::vector<ChatMessage> messages(std::string_view context, std::span<const ChatMessage> history,
                                    std::string_view question) const;

  /// The ids of messages() and of the generation prompt (ChatML: "<|im_start|>assistant\n"), then the empty think block
  /// if the configuration asks for it (never with shine and shuffled).
  std::vector<std::int64_t> tokenize(const Tokenizer& tokenizer, std::span<const ChatMessage> messages,
                                     SpecialTokens contents = SpecialTokens::parse,
                                     const ChatFormat& format = chatml_format()) const;

  bool has_think_block() const { return think_block_; }

 private:
  std::string system_pattern_;
  std::string user_pattern_ = "{question}";
  bool think_block_ = false;
};

}  // namespace shine
