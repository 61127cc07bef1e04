#include "data/convert/collector.h"

#include <algorithm>
#include <utility>

#include "data/pretrain/words.h"
#include "shine/common/str.h"

namespace shine {
namespace {

std::string trimmed(std::string_view text) {
  return std::string(trim_whitespace(text));
}

bool in_turn(const std::vector<ChatMessage>& conversation) {
  for (std::size_t i = 0; i < conversation.size(); ++i) {
    if (conversation[i].role != (i % 2 == 0 ? "user" : "assistant")) return false;
  }
  return true;
}

}  // namespace

bool QaCollector::clean_conversations(std::vector<std::vector<ChatMessage>>& conversations) {
  for (auto& conversation : conversations) {
    if (!conversation.empty() && conversation.front().role == "system") conversation.erase(conversation.begin());
    if (!in_turn(conversation)) return false;
    std::vector<ChatMessage> kept;
    for (std::size_t i = 0; i < conversation.size(); i += 2) {
      const std::string question = trimmed(conversation[i].content);
      const std::string answer = i + 1 < conversation.size() ? trimmed(conversation[i + 1].content) : "";
      if (question.empty() || answer.empty()) {
        ++report_.without_answer;
        continue;
      }
      kept.push_back({"user", question});
      kept.push_back({"assistant", answer});
    }
    conversation = std::move(kept);
  }
  std::erase_if(conversations, [](const auto& conversation) { return conversation.empty(); });
  return true;
}

void QaCollector::clean_questions(std::vector<QaQuestion>& questions) {
  for (QaQuestion& question : questions) {
    question.question = trimmed(question.question);
    std::vector<std::string> answers;
    for (const std::string& answer : question.answers) {
      std::string text = trimmed(answer);
      if (!text.empty() && std::ranges::find(answers, text) == answers.end()) answers.push_back(std::move(text));
    }
    question.answers = std::move(answers);
  }
  report_.without_answer += std::erase_if(
      questions, [](const QaQuestion& question) { return question.question.empty() || question.answers.empty(); });
}

std::string QaCollector::unique_id(std::string id) {
  std::string unique = id;
  for (std::size_t copy = 2; !ids_.insert(unique).second; ++copy) unique = str(id, "#", copy);
  return unique;
}

void QaCollector::add(QaItem item, std::string_view group) {
  if (is_blank(item.context)) {
    ++report_.empty_contexts;
    return;
  }
  if (!clean_conversations(item.conversations) || !clean_conversations(item.sft_conversations)) {
    ++report_.out_of_order;
    return;
  }
  clean_questions(item.questions);
  if (item.conversations.empty() && item.questions.empty()) {
    ++report_.without_question;
    return;
  }
  ++report_.items;
  report_.questions += questions_of(item).size();
  report_.not_in_context += count_not_in_context(item);
  item.id = unique_id(std::move(item.id));
  item.source = source_;
  const std::string of_context = group.empty() ? item.context : std::string();
  take_(std::move(item), group.empty() ? std::string_view(of_context) : group);
}

}  // namespace shine
