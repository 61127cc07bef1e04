#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shine/common/api.h"
#include "shine/text/chat_format.h"
#include "shine/text/message.h"
#include "shine/text/tokenizer.h"

namespace shine {

/// Conversations as text and ids, by the markers of a ChatFormat: that of the model, which choose_chat_format finds.

enum class GenerationPrompt { none, append };

/// later: messages that follow others of the same conversation, so that nothing of a conversation's begin is before
/// them.
enum class ChatPart { whole, later };

/// How messages become ids: what special-token strings within them are, and the format around them.
struct ChatRules {
  SpecialTokens contents = SpecialTokens::parse;
  ChatFormat format = chatml_format();
};

struct RenderedText {
  std::string text;
  std::vector<TextSpan> contents;  // the messages' contents, in the order of the text
  std::vector<TextSpan> labelled;  // per assistant message: content and what ends it (ChatML: <|im_end|> and a newline)
};

/// A whole conversation.
/// @throws ConfigError for a role that is empty or holds a newline or "<|", one that the format has no place for, and a
///         system message that the format would write into a message of the user where there is none
SHINE_API RenderedText render_chat(std::span<const ChatMessage> messages,
                                   GenerationPrompt prompt = GenerationPrompt::none,
                                   const ChatFormat& format = chatml_format());

/// The conversation tokenised as ONE string. A token is labelled when it starts at or after the first character of an
/// assistant's content, or of the space that the format has before it (and before the end of that message): a content
/// that begins with a newline can share a token with the header's newline, which is then not labelled.
/// @param contents  escape: strings of added tokens within the contents are ordinary text; the template's own markers
///                  stay tokens
SHINE_API RenderedConversation tokenize_chat(const Tokenizer& tokenizer, std::span<const ChatMessage> messages,
                                             SpecialTokens contents = SpecialTokens::parse,
                                             const ChatFormat& format = chatml_format(),
                                             ChatPart part = ChatPart::whole);

/// The messages followed by the generation prompt, as ids.
/// @param answer_begin  written behind the prompt, as the begin of the answer
SHINE_API std::vector<std::int64_t> tokenize_prompt(const Tokenizer& tokenizer, std::span<const ChatMessage> messages,
                                                    SpecialTokens contents = SpecialTokens::parse,
                                                    const ChatFormat& format = chatml_format(),
                                                    std::string_view answer_begin = {});

/// Tokens that a conversation of one pretraining turn (user: one task token, assistant: a text) costs beyond the text:
/// 11 with Qwen3, measured from the rendered template. The task tokens must have been added.
SHINE_API std::int64_t tokens_per_turn(const Tokenizer& tokenizer, const ChatFormat& format = chatml_format());

}  // namespace shine
