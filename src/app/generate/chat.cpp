#include "app/generate/chat.h"

#include <sstream>
#include <utility>

#include "app/generate/answer_lines.h"
#include "app/generate/answer_request.h"
#include "app/generate/chat_command.h"
#include "app/generate/read_context.h"
#include "common/first_line.h"
#include "config/path_variables.h"
#include "shine/common/error.h"

namespace shine {
namespace {

constexpr const char* kPrompt = "> ";

std::filesystem::path path_of(const std::string& text) {
  ExpandedPath path = expand_home(text);
  if (!path.fault.empty()) throw ConfigError(path.fault, text);
  return path.path;
}

std::string read_file(const std::string& file) {
  SHINE_CHECK(file != "-", ConfigError, "/context -: standard input is what the chat reads (name a file)");
  return read_context(file);
}

/// The words of `text`, or all of it where a path with spaces in it exists.
std::vector<AdapterChoice> choices_of(const std::string& text) {
  const AdapterChoice whole = adapter_choice(text);
  std::error_code ignored;
  if (std::filesystem::exists(whole.path, ignored)) return {whole};
  std::vector<AdapterChoice> choices;
  std::istringstream words(text);
  for (std::string word; words >> word;) choices.push_back(adapter_choice(word));
  return choices;
}

class Chat {
 public:
  Chat(AnswerSession& session, const ChatTerminal& terminal) : session_(session), terminal_(terminal) {}

  void run() {
    terminal_.write(session_.describe());
    bool left = false, interrupted = false;
    while (!left) {
      const ChatLine line = terminal_.read_line(kPrompt);
      if (line.end == LineEnd::end) return;
      if (line.end == LineEnd::interrupted) {
        if (std::exchange(interrupted, true)) return;
        terminal_.write("(Ctrl-C again, Ctrl-D or /quit to leave)\n");
        continue;
      }
      interrupted = false;
      left = follow(line.text);
    }
  }

 private:
  /// Returns whether to leave.
  bool follow(const std::string& line) {
    try {
      const ChatCommand command = parse_chat_line(line);
      if (command.action == ChatAction::quit) return true;
      run(command);
    } catch (const Error& fault) {
      terminal_.write(str("error: ", first_line(fault.what()), "\n"));
    }
    return false;
  }

  void run(const ChatCommand& command) {
    const std::string& words = command.argument;
    switch (command.action) {
      case ChatAction::question: return ask(words);
      case ChatAction::context: return set_context({words, read_file(words)});
      case ChatAction::text: return set_context({"/text", words});
      case ChatAction::adapter: {
        session_.set_adapters(choices_of(words));
        return terminal_.write(session_.describe());
      }
      case ChatAction::methods: return session_.set_methods(parse_methods(words));
      case ChatAction::save: return terminal_.write(session_.save(path_of(words)) + "\n");
      case ChatAction::stats: return terminal_.write(session_.statistics());
      case ChatAction::reset: return session_.reset();
      case ChatAction::help: return terminal_.write(chat_help());
      case ChatAction::nothing:
      case ChatAction::quit: return;
    }
  }

  void set_context(const NamedText& context) {
    session_.set_context(context);
    terminal_.write(session_.describe());
  }

  void ask(const std::string& question) {
    AnswerPrinter printer(terminal_.write, session_.methods().size() > 1);
    terminal_.interrupted();  // one that came before is not for this answer
    for (const Method method : session_.methods()) {
      printer.begin(method);
      const Answer answer = session_.ask(method, question, [&](std::string_view piece) {
        printer.add(piece);
        return !terminal_.interrupted();
      });
      printer.end();
      const std::string cuts = answer_cuts(answer);
      if (!cuts.empty()) terminal_.write("note: " + cuts + "\n");
      if (answer.end != AnswerEnd::interrupted) continue;
      terminal_.write("(stopped)\n");
      return;
    }
  }

  AnswerSession& session_;
  const ChatTerminal& terminal_;
};

}  // namespace

void run_chat(AnswerSession& session, const ChatTerminal& terminal) {
  Chat(session, terminal).run();
}

}  // namespace shine
