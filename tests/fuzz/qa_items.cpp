// Questions about contexts for training and evaluation.
#include "data/qa/qa_items.h"

#include "data/pretrain/words.h"
#include "fuzz/fuzz_target.h"
#include "text/unicode/utf8.h"

namespace shine::fuzz {
namespace {

void require_conversations(const std::vector<std::vector<ChatMessage>>& conversations) {
  for (const auto& conversation : conversations) {
    require(!conversation.empty() && conversation.size() % 2 == 0, "questions and answers come in pairs");
    for (std::size_t i = 0; i < conversation.size(); ++i) {
      require(conversation[i].role == (i % 2 == 0 ? "user" : "assistant"), "user and assistant speak in turn");
      require(!is_blank(conversation[i].content), "a message has a text");
    }
  }
}

void require_sound(const QaItem& item) {
  require(!is_blank(item.id) && !is_blank(item.context) && is_valid_utf8(item.context), "an item has a text");
  require(item.questions.empty() != item.conversations.empty(), "there is one form of questions");
  require_conversations(item.conversations);
  require_conversations(item.sft_conversations);
  for (const QaQuestion& question : questions_of(item)) {
    require(!is_blank(question.question) && !question.answers.empty(), "a question has an answer");
    for (const std::string& answer : question.answers) require(!is_blank(answer), "an answer has a text");
  }
  count_not_in_context(item);
}

std::string lines_of(const std::vector<QaItem>& items) {
  std::string lines;
  for (const QaItem& item : items) lines += qa_item_json(item) + '\n';
  return lines;
}

}  // namespace
}  // namespace shine::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace shine;
  static fuzz::MemoryFile file;
  file.write(fuzz::as_text(data, size));
  fuzz::accepts([&] {
    const std::vector<QaItem> items = read_qa_items(file.path());
    for (const QaItem& item : items) fuzz::require_sound(item);
    const std::string lines = fuzz::lines_of(items);
    file.write(lines);
    fuzz::require(fuzz::lines_of(read_qa_items(file.path())) == lines, "what is written is read");
    fuzz::require(!fuzz::accepts([&] { check_contexts_disjoint(items, items); }), "an item shares its own context");
  });
  return 0;
}
