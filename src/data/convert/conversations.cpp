#include <nlohmann/json.hpp>

#include "data/convert/formats.h"
#include "data/convert/json_records.h"
#include "io/json/json_cursor.h"
#include "shine/common/str.h"

namespace shine {
namespace {

using Conversation = std::vector<ChatMessage>;

Conversation read_messages(const JsonCursor& messages) {
  Conversation conversation;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const JsonCursor message = messages[i];
    const JsonCursor role = message["role"];
    const JsonCursor content = message["content"];
    conversation.push_back({role.text(), content.text()});
  }
  return conversation;
}

/// One conversation or an array of them.
std::vector<Conversation> read_some(const JsonCursor& at) {
  if (at.size() == 0) return {};
  const JsonCursor first = at[std::size_t{0}];
  if (!first.value().is_array()) return {read_messages(at)};
  std::vector<Conversation> all;
  for (std::size_t i = 0; i < at.size(); ++i) {
    const JsonCursor conversation = at[i];
    all.push_back(read_messages(conversation));
  }
  return all;
}

std::string text_or_empty(const JsonCursor& object, const char* key) {
  const auto found = object.find(key);
  return found ? found->text() : std::string();
}

Conversation read_question_pairs(const JsonCursor& pairs) {
  Conversation conversation;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const JsonCursor pair = pairs[i];
    const JsonCursor question = pair["question"];
    conversation.push_back({"user", question.text()});
    conversation.push_back({"assistant", text_or_empty(pair, "answer")});
  }
  return conversation;
}

std::string record_id(const std::filesystem::path& file, std::size_t number) {
  return str(file.stem().string(), "/", number);
}

}  // namespace

void convert_ift(const std::filesystem::path& file, QaCollector& items) {
  read_json_records(file, [&](std::size_t number, const std::string& where, const nlohmann::json& record) {
    const JsonCursor at(record, where);
    const JsonCursor context = at["context"];
    const JsonCursor conversations = at["conversations"];
    QaItem item{.id = record_id(file, number), .context = context.text(), .conversations = read_some(conversations)};
    if (const auto sft = at.find("sft_conversations")) item.sft_conversations = read_some(*sft);
    items.add(std::move(item));
  });
}

void convert_msmarco_mqa(const std::filesystem::path& file, QaCollector& items) {
  read_json_records(file, [&](std::size_t number, const std::string& where, const nlohmann::json& record) {
    const JsonCursor at(record, where);
    const JsonCursor context = at["context"];
    const JsonCursor conversations = at["conversations"];
    items.add({.id = record_id(file, number),
               .context = context.text(),
               .conversations = {read_question_pairs(conversations)}});
  });
}

}  // namespace shine
