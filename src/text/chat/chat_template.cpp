#include "shine/text/chat_template.h"

#include <algorithm>
#include <array>

#include "io/json/quote_text.h"
#include "shine/common/error.h"
#include "shine/text/special_tokens.h"
#include "text/unicode/utf8.h"

namespace shine {
namespace {

constexpr std::string_view kSystem = "system";
constexpr std::string_view kUser = "user";
constexpr std::string_view kAssistant = "assistant";
constexpr std::string_view kThoughtEnd = "</think>";
constexpr std::string_view kRoleMark = "{role}";

void check_role(const std::string& role) {
  if (role.empty() || role.find('\n') != std::string::npos || role.find("<|") != std::string::npos)
    throw ConfigError(str("the role ", quote_text(role), " of a message"), {}, "use system, user or assistant");
}

std::string_view without_thoughts(std::string_view content) {
  const std::size_t thought = content.rfind(kThoughtEnd);
  if (thought == std::string_view::npos) return content;
  content.remove_prefix(thought + kThoughtEnd.size());
  content.remove_prefix(std::min(content.find_first_not_of('\n'), content.size()));
  return content;
}

std::string with_role(const std::string& before, std::string_view role) {
  const std::size_t mark = before.find(kRoleMark);
  if (mark == std::string::npos) return before;
  return before.substr(0, mark).append(role).append(before, mark + kRoleMark.size());
}

/// Writes a conversation, or its later part, message by message.
class ChatWriter {
 public:
  ChatWriter(const ChatFormat& format, std::span<const ChatMessage> messages) : format_(format), messages_(messages) {
    result_.text = format.begin;
  }

  RenderedText write(ChatPart part, GenerationPrompt prompt) {
    const bool has_system = !messages_.empty() && messages_.front().role == kSystem;
    const bool is_dated = part == ChatPart::whole && !format_.system_lead.empty();
    std::size_t next = 0;
    if (format_.system_place != SystemPlace::own_message) {
      if (has_system) find_host();
      next = has_system ? 1 : 0;
    } else if (is_dated) {
      write_dated_system(has_system ? &messages_.front() : nullptr);
      next = has_system ? 1 : 0;
    }
    for (; next < messages_.size(); ++next) write_message(next);
    if (prompt == GenerationPrompt::append) result_.text += with_role(format_.assistant.before, kAssistant);
    return std::move(result_);
  }

 private:
  /// The message of the user that the system message is written into.
  void find_host() {
    for (std::size_t i = 1; i < messages_.size(); ++i) {
      if (messages_[i].role != kUser) continue;
      host_ = i;
      if (format_.system_place == SystemPlace::first_user) return;
    }
    if (host_ == 0)
      throw ConfigError(str("the chat format ", format_.name,
                            " writes a system message into a message of the user, and there is none"));
  }

  const ChatFrame& frame_of(const std::string& role) const {
    check_role(role);
    if (role == kUser) return format_.user;
    if (role == kAssistant) return format_.assistant;
    const bool names_roles = format_.system.before.find(kRoleMark) != std::string::npos;
    const bool has_place = role == kSystem && format_.system_place == SystemPlace::own_message;
    if (names_roles || has_place) return format_.system;
    throw ConfigError(str("the chat format ", format_.name, " has no place for a message with the role ",
                          quote_text(role), role == kSystem ? " behind others" : ""));
  }

  void write_content(const ChatMessage& message) {
    const bool is_answer = message.role == kAssistant;
    std::string_view content = message.content;
    if (is_answer && format_.cuts_thoughts) content = without_thoughts(content);
    if (is_answer ? format_.trims_answers : format_.trims_others) content = trim_whitespace(content);
    const std::size_t begin = result_.text.size();
    result_.text += content;
    result_.contents.push_back({begin, result_.text.size()});
  }

  void write_dated_system(const ChatMessage* message) {
    result_.text += with_role(format_.system.before, kSystem);
    result_.text += format_.system_lead;
    if (message != nullptr) write_content(*message);
    result_.text += format_.system.after;
  }

  void write_message(std::size_t number) {
    const ChatMessage& message = messages_[number];
    const ChatFrame& frame = frame_of(message.role);
    result_.text += with_role(frame.before, message.role);
    const std::size_t begin = result_.text.size();
    if (message.role == kAssistant) result_.text += format_.answer_lead;
    if (host_ > 0 && number == host_) {
      write_content(messages_.front());
      result_.text += "\n\n";
    }
    write_content(message);
    result_.text += frame.after;
    if (message.role == kAssistant) result_.labelled.push_back({begin, result_.text.size()});
  }

  const ChatFormat& format_;
  std::span<const ChatMessage> messages_;
  std::size_t host_ = 0;
  RenderedText result_;
};

Encoding tokenize(const Tokenizer& tokenizer, const RenderedText& rendered, SpecialTokens contents) {
  if (contents == SpecialTokens::escape) return tokenizer.encode_with_escapes(rendered.text, rendered.contents);
  return tokenizer.encode(rendered.text);
}

/// Drops the token that a text begins with, behind which later messages were tokenised as in the midst of a text.
void drop_begin(Encoding& encoding) {
  encoding.ids.erase(encoding.ids.begin());
  encoding.offsets.erase(encoding.offsets.begin());
}

}  // namespace

RenderedText render_chat(std::span<const ChatMessage> messages, GenerationPrompt prompt, const ChatFormat& format) {
  return ChatWriter(format, messages).write(ChatPart::whole, prompt);
}

RenderedConversation tokenize_chat(const Tokenizer& tokenizer, std::span<const ChatMessage> messages,
                                   SpecialTokens contents, const ChatFormat& format, ChatPart part) {
  const RenderedText rendered = ChatWriter(format, messages).write(part, GenerationPrompt::none);
  Encoding encoding = tokenize(tokenizer, rendered, contents);
  if (part == ChatPart::later && !format.begin.empty()) drop_begin(encoding);
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
                                          SpecialTokens contents, const ChatFormat& format,
                                          std::string_view answer_begin) {
  RenderedText prompt = render_chat(messages, GenerationPrompt::append, format);
  prompt.text += answer_begin;
  return tokenize(tokenizer, prompt, contents).ids;
}

std::int64_t tokens_per_turn(const Tokenizer& tokenizer, const ChatFormat& format) {
  const std::array<ChatMessage, 2> turn = {ChatMessage{std::string(kUser), std::string(kReconstruct)},
                                           ChatMessage{std::string(kAssistant), ""}};
  return static_cast<std::int64_t>(tokenize_chat(tokenizer, turn, SpecialTokens::parse, format).ids.size());
}

}  // namespace shine
