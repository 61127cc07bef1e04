#include "shine/text/chat_template.h"

#include <algorithm>
#include <array>

#include "io/json/quote_text.h"
#include "shine/common/error.h"
#include "shine/text/special_tokens.h"

namespace shine {
namespace {

constexpr std::string_view kAssistant = "assistant";
constexpr std::string_view kThoughtEnd = "</think>";

void check_role(const std::string& role) {
  if (role.empty() || role.find('\n') != std::string::npos || role.find("<|") != std::string::npos)
    throw ConfigError(str("the role ", quote_text(role), " of a message"), {}, "use system, user or assistant");
}

std::string_view shown_content(const ChatMessage& message) {
  std::string_view content = message.content;
  if (message.role != kAssistant) return content;
  const std::size_t thought = content.rfind(kThoughtEnd);
  if (thought == std::string_view::npos) return content;
  content.remove_prefix(thought + kThoughtEnd.size());
  content.remove_prefix(std::min(content.find_first_not_of('\n'), content.size()));
  return content;
}

void append_header(std::string& text, std::string_view role) {
  text += kMessageStart;
  text += role;
  text += '\n';
}

Encoding tokenize(const Tokenizer& tokenizer, const RenderedText& rendered, SpecialTokens contents) {
  if (contents == SpecialTokens::escape) return tokenizer.encode_with_escapes(rendered.text, rendered.contents);
  return tokenizer.encode(rendered.text);
}

}  // namespace

RenderedText render_chat(std::span<const ChatMessage> messages, GenerationPrompt prompt) {
  RenderedText result;
  std::string& text = result.text;
  for (const ChatMessage& message : messages) {
    check_role(message.role);
    append_header(text, message.role);
    const std::size_t begin = text.size();
    text += shown_content(message);
    result.contents.push_back({begin, text.size()});
    text += kMessageEnd;
    text += '\n';
    if (message.role == kAssistant) result.labelled.push_back({begin, text.size()});
  }
  if (prompt == GenerationPrompt::append) append_header(text, kAssistant);
  return result;
}

RenderedConversation tokenize_chat(const Tokenizer& tokenizer, std::span<const ChatMessage> messages,
                                   SpecialTokens contents) {
  const RenderedText rendered = render_chat(messages);
  Encoding encoding = tokenize(tokenizer, rendered, contents);
  RenderedConversation result;
  result.labels.reserve(encoding.ids.size());
  std::size_t turn = 0;
  for (std::size_t i = 0; i < encoding.ids.size(); ++i) {
    const std::size_t begin = encoding.offsets[i].begin;
    while (turn < rendered.labelled.size() && rendered.labelled[turn].end <= begin) ++turn;
    const bool is_labelled = turn < rendered.labelled.size() && rendered.labelled[turn].begin <= begin;
    result.labels.push_back(is_labelled ? encoding.ids[i] : kIgnoredLabel);
  }
  result.ids = std::move(encoding.ids);
  return result;
}

std::vector<std::int64_t> tokenize_prompt(const Tokenizer& tokenizer, std::span<const ChatMessage> messages,
                                          SpecialTokens contents) {
  return tokenize(tokenizer, render_chat(messages, GenerationPrompt::append), contents).ids;
}

std::int64_t tokens_per_turn(const Tokenizer& tokenizer) {
  const std::array<ChatMessage, 2> turn = {ChatMessage{"user", std::string(kReconstruct)},
                                           ChatMessage{std::string(kAssistant), ""}};
  return static_cast<std::int64_t>(tokenize_chat(tokenizer, turn).ids.size());
}

}  // namespace shine
