#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "app/generate/answer_session.h"
#include "shine/common/api.h"

namespace shine {

/// How reading a line ended: with one, by Ctrl-C, or because there is no more.
enum class LineEnd { line, interrupted, end };

struct ChatLine {
  LineEnd end = LineEnd::line;
  std::string text;
};

/// What a chat reads from and writes to.
struct ChatTerminal {
  std::function<ChatLine(const std::string& prompt)> read_line;
  std::function<void(std::string_view text)> write;
  std::function<bool()> interrupted;  ///< whether Ctrl-C was pressed since it was last asked
};

/// Answers questions and follows commands (chat_command.h) until the lines end, /quit, or Ctrl-C twice in a row at the
/// prompt. What a line asks for and cannot be done is an "error: .." line, and the chat goes on.
SHINE_API void run_chat(AnswerSession& session, const ChatTerminal& terminal);

}  // namespace shine
