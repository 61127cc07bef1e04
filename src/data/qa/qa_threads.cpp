#include "data/qa/qa_threads.h"

#include <cstddef>
#include <utility>

namespace shine {

QaThreads threads_of(QaItem item) {
  QaThreads result{std::move(item.context), {}};
  for (auto& conversation : item.conversations) {
    QaThread& thread = result.threads.emplace_back();
    for (std::size_t i = 0; i + 1 < conversation.size(); i += 2) {
      thread.push_back({std::move(conversation[i].content), std::move(conversation[i + 1].content)});
    }
  }
  if (!item.questions.empty()) result.threads.emplace_back();
  for (QaQuestion& question : item.questions) {
    result.threads.back().push_back({std::move(question.question), std::move(question.answers.at(0))});
  }
  return result;
}

}  // namespace shine
