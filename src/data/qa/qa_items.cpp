#include "data/qa/qa_items.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "data/pretrain/words.h"
#include "data/repairs.h"
#include "io/json/json_cursor.h"
#include "io/json/json_parser.h"
#include "io/json/jsonl.h"
#include "io/json/quote_text.h"
#include "shine/common/error.h"
#include "text/json_text.h"

namespace shine {
namespace {

using Conversation = std::vector<ChatMessage>;

const std::string& filled_text(const JsonCursor& at) {
  const std::string& text = at.text();
  if (is_blank(text)) at.fail("the text is empty");
  return text;
}

std::string text_or(const JsonCursor& object, const char* key, std::string fallback) {
  const auto found = object.find(key);
  return found ? found->text() : fallback;
}

void check_role(const JsonCursor& at, std::string_view expected) {
  const std::string& role = at.text();
  if (role == expected) return;
  at.fail(str("expected the role \"", expected, "\", found ", quote_text(role)),
          "user and assistant alternate, the user first; system messages come from the configuration");
}

Conversation read_conversation(const JsonCursor& messages) {
  const std::size_t count = messages.size();
  if (count == 0) messages.fail("the conversation is empty");
  Conversation conversation;
  conversation.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const JsonCursor message = messages[i];
    const JsonCursor role = message["role"];
    check_role(role, i % 2 == 0 ? "user" : "assistant");
    const JsonCursor content = message["content"];
    conversation.push_back({role.text(), filled_text(content)});
  }
  if (count % 2 != 0) messages.fail("the last question has no answer");
  return conversation;
}

std::vector<Conversation> read_conversations(const JsonCursor& all) {
  const std::size_t count = all.size();
  if (count == 0) all.fail("there is no conversation");
  std::vector<Conversation> conversations;
  conversations.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const JsonCursor conversation = all[i];
    conversations.push_back(read_conversation(conversation));
  }
  return conversations;
}

QaQuestion read_question(const JsonCursor& at) {
  QaQuestion result;
  const JsonCursor question = at["question"];
  result.question = filled_text(question);
  const JsonCursor answers = at["answers"];
  const std::size_t count = answers.size();
  if (count == 0) answers.fail("the question has no answer");
  for (std::size_t i = 0; i < count; ++i) {
    const JsonCursor answer = answers[i];
    result.answers.push_back(filled_text(answer));
  }
  return result;
}

std::vector<QaQuestion> read_questions(const JsonCursor& all) {
  const std::size_t count = all.size();
  if (count == 0) all.fail("there is no question");
  std::vector<QaQuestion> questions;
  questions.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const JsonCursor question = all[i];
    questions.push_back(read_question(question));
  }
  return questions;
}

QaItem read_item(const JsonCursor& line, std::string default_id) {
  QaItem item;
  item.id = text_or(line, "id", std::move(default_id));
  if (is_blank(item.id)) line.fail("the id is empty");
  item.source = text_or(line, "source", {});
  const JsonCursor context = line["context"];
  item.context = filled_text(context);
  const auto conversations = line.find("conversations");
  const auto questions = line.find("questions");
  if (conversations && questions) line.fail("there are both conversations and questions", "keep one of them");
  if (!conversations && !questions) {
    line.fail("there are neither conversations nor questions",
              "shine_prepare qa makes this form from published data sets");
  }
  if (conversations) item.conversations = read_conversations(*conversations);
  if (questions) item.questions = read_questions(*questions);
  if (const auto sft = line.find("sft_conversations")) item.sft_conversations = read_conversations(*sft);
  return item;
}

nlohmann::ordered_json to_json(const std::vector<Conversation>& conversations) {
  auto all = nlohmann::ordered_json::array();
  for (const Conversation& conversation : conversations) {
    auto& messages = all.emplace_back(nlohmann::ordered_json::array());
    for (const ChatMessage& message : conversation) {
      messages.push_back({{"role", message.role}, {"content", message.content}});
    }
  }
  return all;
}

/// For finding an answer in a context: white space as single spaces, ASCII letters small.
std::string plain(std::string_view text) {
  std::string result = join_words(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

bool is_found(const std::vector<std::string>& answers, const std::string& plain_context) {
  return std::ranges::any_of(answers, [&](const std::string& answer) {
    const std::string wanted = plain(answer);
    return wanted == "yes" || wanted == "no" || plain_context.find(wanted) != std::string::npos;
  });
}

}  // namespace

QaItem parse_qa_item(std::string_view line, const std::filesystem::path& file, std::size_t number) {
  const nlohmann::json value = parse_json_from_line(repair_json(line), file.string(), number);
  const std::string where = str(file.string(), ":", number);
  return read_item(JsonCursor(value, where), str(file.filename().string(), ":", number));
}

std::vector<QaItem> read_qa_items(const std::filesystem::path& file) {
  std::vector<QaItem> items;
  std::unordered_map<std::string, std::size_t> line_of;
  Repairs repairs(file);
  const auto take = [&](std::size_t number, std::string_view line) {
    repairs.count(line);
    items.push_back(parse_qa_item(line, file, number));
    const auto [seen, is_new] = line_of.try_emplace(items.back().id, number);
    SHINE_CHECK(is_new, FormatError, file.string(), ":", number, ": the id ", quote_text(seen->first),
                " is that of line ", seen->second, " already");
    return true;
  };
  read_lines(file, take, TextForm::utf8);
  repairs.report();
  if (items.empty()) throw FormatError("there is no question in the file", file.string());
  return items;
}

std::string qa_item_json(const QaItem& item) {
  nlohmann::ordered_json line = {{"id", item.id}, {"source", item.source}, {"context", item.context}};
  if (!item.conversations.empty()) line["conversations"] = to_json(item.conversations);
  if (!item.questions.empty()) {
    auto& questions = line["questions"] = nlohmann::ordered_json::array();
    for (const QaQuestion& question : item.questions) {
      questions.push_back({{"question", question.question}, {"answers", question.answers}});
    }
  }
  if (!item.sft_conversations.empty()) line["sft_conversations"] = to_json(item.sft_conversations);
  return line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::vector<QaQuestion> questions_of(const QaItem& item) {
  std::vector<QaQuestion> questions = item.questions;
  for (const Conversation& conversation : item.conversations) {
    for (std::size_t i = 0; i + 1 < conversation.size(); i += 2) {
      questions.push_back({conversation[i].content, {conversation[i + 1].content}});
    }
  }
  return questions;
}

std::size_t count_not_in_context(std::string_view context, const std::vector<QaQuestion>& questions) {
  const std::string text = plain(context);
  return static_cast<std::size_t>(
      std::ranges::count_if(questions, [&](const QaQuestion& question) { return !is_found(question.answers, text); }));
}

std::size_t count_not_in_context(const QaItem& item) {
  return count_not_in_context(item.context, questions_of(item));
}

void check_contexts_disjoint(const std::vector<QaItem>& train, const std::vector<QaItem>& validation) {
  std::unordered_map<std::string, const QaItem*> held_out;
  for (const QaItem& item : validation) held_out.emplace(join_words(item.context), &item);
  std::size_t shared = 0;
  std::pair<const QaItem*, const QaItem*> first;
  for (const QaItem& item : train) {
    const auto found = held_out.find(join_words(item.context));
    if (found == held_out.end()) continue;
    if (shared++ == 0) first = {&item, found->second};
  }
  if (shared == 0) return;
  throw ConfigError(str(shared, " of ", train.size(), " training items have a context of the validation data, ",
                        quote_text(first.first->id), " that of ", quote_text(first.second->id)),
                    "data.validation", "take them out of one side, or allow it by data.check_overlap=false");
}

}  // namespace shine
