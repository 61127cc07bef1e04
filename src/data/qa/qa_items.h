#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "shine/text/message.h"

namespace shine {

/// A question about a context and its accepted answers; the first one is trained.
struct QaQuestion {
  std::string question;
  std::vector<std::string> answers;

  bool operator==(const QaQuestion&) const = default;
};

/// One line of the JSON-lines form that training and evaluation read: {"id", "source", "context", "conversations":
/// [[{"role", "content"}, ..], ..] or "questions": [{"question", "answers": [..]}, ..], "sft_conversations": as
/// conversations}. `id` and `source` are optional (an id is then made of the file's name and the line), so is
/// `sft_conversations`; null means that a key is missing, other keys are ignored. No text but `source` is blank.
struct QaItem {
  std::string id = {};
  std::string source = {};
  std::string context = {};
  std::vector<std::vector<ChatMessage>> conversations = {};  ///< user and assistant in turn, user first
  std::vector<QaQuestion> questions = {};
  std::vector<std::vector<ChatMessage>> sft_conversations = {};
};

/// Reads a file of such lines, also packed as .jsonl.gz or .jsonl.zst. Bytes that are no UTF-8 become U+FFFD (Repairs
/// says where they are many). Throws IoError (no file), FormatError naming
/// file, line and key for a line that is broken, has neither or both of conversations and questions, an empty context,
/// a question without answers, turns out of order, a system message (the configuration sets it), or a duplicate id, and
/// for a file without lines.
std::vector<QaItem> read_qa_items(const std::filesystem::path& file);

/// One line of such a file.
/// @param file, number  for the id of a line without one, and for errors
/// Throws FormatError.
QaItem parse_qa_item(std::string_view line, const std::filesystem::path& file, std::size_t number);

/// The item as one line of JSON, without the newline.
std::string qa_item_json(const QaItem& item);

/// The questions of an item in either form: those of `questions`, or each user turn with the assistant's answer to it.
std::vector<QaQuestion> questions_of(const QaItem& item);

/// Questions without an answer that occurs in the context, up to spacing and the case of ASCII letters; yes and no
/// count as occurring. One such question is no fault, but many of them hint at faulty data.
std::size_t count_not_in_context(std::string_view context, const std::vector<QaQuestion>& questions);

/// The same of an item in either form.
std::size_t count_not_in_context(const QaItem& item);

/// Throws ConfigError naming an item of each side where a context (white space aside) is in both.
void check_contexts_disjoint(const std::vector<QaItem>& train, const std::vector<QaItem>& validation);

}  // namespace shine
