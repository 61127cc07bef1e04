#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "shine/common/api.h"
#include "shine/text/message.h"
#include "shine/text/tokenizer.h"

namespace shine {

/// ChatML without thinking: `<|im_start|>{role}\n{content}<|im_end|>\n` per message, and, where an answer is asked for,
/// the generation prompt `<|im_start|>assistant\n`. An assistant's content is cut to what follows its last `</think>`
/// and the newlines behind that, as in Qwen3's template.

enum class GenerationPrompt { none, append };

struct RenderedText {
  std::string text;
  std::vector<TextSpan> contents;  // the messages' contents, in order
  std::vector<TextSpan> labelled;  // per assistant message: content, <|im_end|> and the newline
};

/// @throws ConfigError for a role that is empty or holds a newline or "<|"
SHINE_API RenderedText render_chat(std::span<const ChatMessage> messages,
                                   GenerationPrompt prompt = GenerationPrompt::none);

/// The conversation tokenised as ONE string. A token is labelled when it starts at or after the first character of an
/// assistant's content (and before the end of that message): a content that begins with a newline can share a token
/// with the header's newline, which is then not labelled.
/// @param contents  escape: strings of added tokens within the contents are ordinary text; the template's own markers
///                  stay tokens
SHINE_API RenderedConversation tokenize_chat(const Tokenizer& tokenizer, std::span<const ChatMessage> messages,
                                             SpecialTokens contents = SpecialTokens::parse);

/// The messages followed by the generation prompt, as ids.
SHINE_API std::vector<std::int64_t> tokenize_prompt(const Tokenizer& tokenizer, std::span<const ChatMessage> messages,
                                                    SpecialTokens contents = SpecialTokens::parse);

/// Tokens that one pretraining turn (user: one task token, assistant: a text) costs beyond the text: 11 with Qwen3,
/// measured from the rendered template. The task tokens must have been added.
SHINE_API std::int64_t tokens_per_turn(const Tokenizer& tokenizer);

}  // namespace shine
