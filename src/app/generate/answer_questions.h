#pragma once

#include <string>
#include <vector>

#include "app/generate/answer_session.h"
#include "shine/common/api.h"

namespace shine {

/// Asks every method every question and prints the answers: for people as they are written, times and cuts on standard
/// error; with `json` a line each (answer_json).
SHINE_API void answer_questions(AnswerSession& session, const std::vector<std::string>& questions, bool json);

}  // namespace shine
