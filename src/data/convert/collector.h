#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "data/convert/qa_convert.h"

namespace shine {

/// Cleans the items of a data set and passes on what is left.
class QaCollector {
 public:
  QaCollector(std::string source, const TakeQaItem& take) : source_(std::move(source)), take_(take) {}

  /// Texts may be empty, answers missing, and roles in any order.
  /// @param group  what it belongs to; empty: its context
  void add(QaItem item, std::string_view group = {});

  void count_unanswerable() { ++report_.unanswerable; }

  const QaConvertReport& report() const { return report_; }

 private:
  bool clean_conversations(std::vector<std::vector<ChatMessage>>& conversations);
  void clean_questions(std::vector<QaQuestion>& questions);
  std::string unique_id(std::string id);

  std::string source_;
  const TakeQaItem& take_;
  QaConvertReport report_;
  std::unordered_set<std::string> ids_;
};

}  // namespace shine
