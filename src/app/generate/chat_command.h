#pragma once

#include <array>
#include <string>
#include <string_view>

#include "shine/common/api.h"

namespace shine {

/// What a line of a chat asks for. Each but the first two is a command of its name.
enum class ChatAction { question, nothing, context, text, methods, adapter, save, stats, reset, help, quit };
constexpr std::array<std::string_view, 11> config_names(ChatAction) {
  return {"question", "nothing", "context", "text", "methods", "adapter", "save", "stats", "reset", "help", "quit"};
}

struct ChatCommand {
  ChatAction action = ChatAction::nothing;
  std::string argument;  ///< the question, or what stands behind the command; without spaces around
};

/// A line that begins with `/` is a command, any other that is not blank a question. Throws ConfigError for a command
/// that there is not, one that lacks what it needs, and one with more than it takes.
SHINE_API ChatCommand parse_chat_line(std::string_view line);

/// The commands, a line each.
SHINE_API std::string chat_help();

}  // namespace shine
