#pragma once

#include <string>
#include <vector>

#include "eval/report/answer_records.h"

namespace shine {

/// Lets a command score answers: a shell line that gets them as JSON lines (record_json) on its standard input and
/// writes one number a line, in order, to its standard output; its standard error is the program's own.
/// Throws Error where it does not end with status 0, or writes anything else; IoError where it cannot be run.
std::vector<double> judge_answers(const std::string& command, const std::vector<AnswerRecord>& answers);

/// The scores as JSON lines {"method", "item", "turn", "judge"}.
std::string judge_text(const std::vector<AnswerRecord>& answers, const std::vector<double>& scores);

}  // namespace shine
