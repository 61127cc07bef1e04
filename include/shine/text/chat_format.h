#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "shine/common/api.h"
#include "shine/config/chat_format_choice.h"
#include "shine/text/tokenizer.h"

namespace shine {

/// Where the system message goes that a conversation begins with.
enum class SystemPlace {
  own_message,
  first_user,  // before the text of the first message of the user, a blank line between
  last_user,   // the same, of the last one
};

/// What stands around a message; `before` may hold {role}.
struct ChatFrame {
  std::string before;
  std::string after;
  friend bool operator==(const ChatFrame&, const ChatFrame&) = default;
};

/// How a conversation is written as text: markers alone, no code. chat_template.h writes by it.
struct ChatFormat {
  std::string name;   ///< for messages: "chatml", "llama3", "llama3.1", "mistral v1", ..
  std::string begin;  ///< one token before everything; may be empty
  ChatFrame system;   ///< also of any other role, if it holds {role}
  ChatFrame user;
  ChatFrame assistant;      ///< `before` is the generation prompt
  std::string answer_lead;  ///< between the prompt and an answer; the model writes it, so it is labelled
  SystemPlace system_place = SystemPlace::own_message;
  std::string system_lead;     ///< not empty: every conversation has a system message, which begins with this
  bool trims_answers = false;  ///< white space at both ends, as Python's str.strip() sees it
  bool trims_others = false;
  bool cuts_thoughts = false;  ///< an answer is what follows its last </think> and the newlines behind that
  std::string answer_end;      ///< the token that ends an answer
  std::string text_end;        ///< the token between texts
  friend bool operator==(const ChatFormat&, const ChatFormat&) = default;
};

/// `<|im_start|>{role}\n{content}<|im_end|>\n`, thinking off, as in Qwen3's template.
SHINE_API const ChatFormat& chatml_format();

/// `<|begin_of_text|>`, then `<|start_header_id|>{role}<|end_header_id|>\n\n{content}<|eot_id|>` per message.
/// @param dated  the templates of Llama 3.1 to 3.3, whose system message begins with two dates: "December 2023" and
///               their default for today, "26 Jul 2024", always, so that answers can be repeated
SHINE_API ChatFormat llama3_format(bool dated);

/// White space of Mistral's templates. v1: `<s> [INST] {question} [/INST] {answer}</s>`; v3:
/// `<s>[INST] {question}[/INST] {answer}</s>`; v3_tekken: `<s>[INST]{question}[/INST]{answer}</s>`.
enum class MistralVersion { v1, v3, v3_tekken };

/// The system message stands in the first message of the user (v1) or in the last one.
SHINE_API ChatFormat mistral_format(MistralVersion version);

/// For base models: a line per message, an answer ends with `end_token` instead.
SHINE_API ChatFormat plain_format(const std::string& end_token);

/// The format whose layout a chat template (Jinja) shows by its markers; none where no format here has them.
SHINE_API std::optional<ChatFormat> detect_chat_format(std::string_view chat_template);

/// The chat template of a tokenizer's folder: chat_template.jinja, else `chat_template` of tokenizer_config.json (of
/// several, the one named "default", else an empty text). Throws IoError, FormatError.
SHINE_API std::optional<std::string> read_chat_template(const std::filesystem::path& tokenizer);

/// The format of conversations with a tokenizer. automatic: that of its chat template; without a template ChatML, if
/// the tokenizer has ChatML's tokens. A name given: the template's variant of it, else llama3 without dates, mistral v3
/// (v1 where [INST] is no token); none ends answers with eos_token of the files beside the tokenizer, else with the
/// first of <|endoftext|>, <|end_of_text|> and </s> that is a token.
/// @param tokenizer_path  the folder or file that `tokenizer` was loaded from
/// Throws ConfigError naming text.chat_format where a template or the tokenizer's tokens show no known format, or the
/// tokenizer lacks the token that the format begins a text with; and what read_chat_template throws.
SHINE_API ChatFormat choose_chat_format(ChatFormatChoice choice, const std::filesystem::path& tokenizer_path,
                                        const Tokenizer& tokenizer);

}  // namespace shine
