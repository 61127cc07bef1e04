#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "eval/conversation/answer.h"
#include "shine/common/api.h"

namespace shine {

/// {"method", "question", "answer", "prompt_ids", "answer_ids", "finish", "seconds"}, without the newline.
SHINE_API std::string answer_json(const Answer& answer);

/// What was left out of the prompt, for a warning; empty: nothing.
SHINE_API std::string answer_cuts(const Answer& answer);

/// Tokens, time to the first one, and speed.
SHINE_API std::string answer_speed(const Answer& answer);

/// Writes answers for people as they come. With several methods each answer has its method's name before it, and its
/// lines begin in one column.
class SHINE_API AnswerPrinter {
 public:
  /// @param write  called with every piece
  AnswerPrinter(std::function<void(std::string_view)> write, bool labelled);

  void begin(Method method);
  void add(std::string_view piece);
  void end();

 private:
  std::function<void(std::string_view)> write_;
  bool labelled_;
};

}  // namespace shine
