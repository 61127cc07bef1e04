#include "app/generate/chat_command.h"

#include <algorithm>

#include "config/enum_value.h"
#include "shine/common/error.h"
#include "shine/common/str.h"

namespace shine {
namespace {

struct CommandInfo {
  ChatAction action;
  bool takes_words;
  const char* usage;
  const char* help;
};

constexpr std::array kCommands{
    CommandInfo{ChatAction::context, true, "/context FILE", "talk about this text from now on"},
    CommandInfo{ChatAction::text, true, "/text WORDS", "the same with the text itself"},
    CommandInfo{ChatAction::methods, true, "/methods LIST", "who answers: naive,in_context,shine,shuffled"},
    CommandInfo{ChatAction::adapter, true, "/adapter DIR[:WEIGHT] ..",
                "method shine answers with this adapter, or the sum of several"},
    CommandInfo{ChatAction::save, true, "/save DIR", "write the adapter of method shine"},
    CommandInfo{ChatAction::stats, false, "/stats", "tokens, times and speed"},
    CommandInfo{ChatAction::reset, false, "/reset", "begin anew, with the same context and adapter"},
    CommandInfo{ChatAction::help, false, "/help", "these lines"},
    CommandInfo{ChatAction::quit, false, "/quit", "leave; so does Ctrl-D, and Ctrl-C twice"},
};

std::string trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(kBlank) - begin + 1));
}

}  // namespace

ChatCommand parse_chat_line(std::string_view line) {
  const std::string text = trimmed(line);
  if (text.empty()) return {};
  if (!line.starts_with('/')) return {ChatAction::question, text};
  const std::size_t end = std::min(text.find_first_of(" \t"), text.size());
  const std::string name = text.substr(1, end - 1);
  for (const CommandInfo& command : kCommands) {
    if (enum_name(command.action) != name) continue;
    ChatCommand found{command.action, trimmed(std::string_view(text).substr(end))};
    SHINE_CHECK(command.takes_words != found.argument.empty(), ConfigError, "/", name, ": expected ", command.usage);
    return found;
  }
  throw ConfigError(str("there is no command /", name, " (/help lists them; a question may begin with a space and /)"));
}

std::string chat_help() {
  std::string text;
  for (const CommandInfo& command : kCommands) {
    std::string usage = command.usage;
    usage.resize(26, ' ');
    text += "  " + usage + command.help + "\n";
  }
  return text;
}

}  // namespace shine
