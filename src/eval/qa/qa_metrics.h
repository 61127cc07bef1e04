#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "shine/config/evaluation_config.h"

namespace shine {

/// What counts of a raw answer: without think blocks and one leading "answer:" or "final answer:" (in any case), the
/// first line that is not empty, trimmed. Of unpaired tags, all before a `</think>` was thought, and so was all after a
/// `<think>`: an answer that only thinks is empty.
std::string clean_answer(std::string_view raw);

struct QaScore {
  double f1 = 0.0;
  double exact = 0.0;  ///< 1 or 0
};

/// F1 over the bag of words and exact match, both after lower-casing and without ASCII punctuation, articles and
/// surplus white space; the best over the right answers. F1 of two sides without words is 1 in form squad, 0 in form
/// hotpot; where only one has none it is 0. Scores of no right answer at all are 0.
QaScore score_answer(std::string_view answer, const std::vector<std::string>& right, ScoreForm form);

}  // namespace shine
