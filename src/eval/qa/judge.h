#pragma once

#include <string>
#include <vector>

#include "eval/report/answer_records.h"

namespace shine {

/// Lets a shell command score answers: it reads them as JSON lines (record_json) on its standard input and writes
/// one number per line, in order, to its standard output; its standard error goes to this program's.
/// Throws Error where it does not end with status 0, or writes anything else; IoError where it cannot be run.
std::vector<double> judge_answers(const std::string& command, const std::vector<AnswerRecord>& answers);

/// The scores as JSON lines {"method", "item", "turn", "judge"}.
std::string judge_text(const std::vector<AnswerRecord>& answers, const std::vector<double>& scores);

}  // namespace shine
