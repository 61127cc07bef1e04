#include "app/generate/answer_questions.h"

#include <cstdio>
#include <sstream>

#include "app/generate/answer_lines.h"
#include "shine/common/logging.h"
#include "shine/common/str.h"
#include "shine/config/enum_names.h"

namespace shine {
namespace {

void print(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

void log_answer(const Answer& answer) {
  log_info(str(enum_name(answer.method), ": ", answer_speed(answer)));
  const std::string cuts = answer_cuts(answer);
  if (!cuts.empty()) log_warning(str(enum_name(answer.method), ": ", cuts));
}

}  // namespace

void answer_questions(AnswerSession& session, const std::vector<std::string>& questions, bool json) {
  std::istringstream known(session.describe());
  for (std::string line; std::getline(known, line);) log_info(line);
  AnswerPrinter printer(print, session.methods().size() > 1);
  for (const std::string& question : questions) {
    std::vector<Answer> answers;
    if (!json) print(question + "\n");
    for (const Method method : session.methods()) {
      if (json) {
        answers.push_back(session.ask(method, question));
        print(answer_json(answers.back()) + "\n");
        continue;
      }
      printer.begin(method);
      answers.push_back(session.ask(method, question, [&](std::string_view piece) {
        printer.add(piece);
        return true;
      }));
      printer.end();
    }
    for (const Answer& answer : answers) log_answer(answer);
  }
}

}  // namespace shine
