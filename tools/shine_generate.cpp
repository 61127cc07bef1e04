// Answers questions about a text, by the LoRA generated from it or otherwise; a chat in the terminal.
#include <cstdio>
#include <string>
#include <vector>

#include "app/generate/answer_questions.h"
#include "app/generate/answer_request.h"
#include "app/generate/chat.h"
#include "app/generate/load_models.h"
#include "app/generate/read_context.h"
#include "command_line.h"
#include "enum_option.h"
#include "generate/line_reader.h"
#include "shine/common/logging.h"

namespace {

struct Arguments {
  std::string config;
  std::vector<std::string> overrides;
  shine::AnswerRequest request;
  shine::SessionOptions session;
  bool json = false;
};

void chat(shine::AnswerSession& session) {
  shine::Interrupts interrupts;
  shine::LineReader lines(interrupts);
  const auto write = [](std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  };
  shine::run_chat(session, {[&](const std::string& prompt) { return lines.read(prompt); }, write,
                            [&] { return interrupts.take(); }});
}

int answer(const Arguments& arguments) {
  const shine::AnswerRequest& request = arguments.request;
  shine::check_request(request);
  std::string context, other;
  if (!request.context.empty()) context = shine::read_context(request.context);
  if (!request.other_context.empty()) other = shine::read_context(request.other_context);
  std::vector<shine::AdapterChoice> adapters;
  for (const std::string& text : request.adapters) adapters.push_back(shine::adapter_choice(text));

  const shine::LoadedModels models =
      shine::load_models(arguments.config, arguments.overrides, request.checkpoint, shine::needs_weights(request));
  shine::AnswerSession session(models.experiment, models.weights, arguments.session);
  session.set_methods(request.methods);
  if (!request.context.empty()) session.set_context({request.context, context});
  if (!request.other_context.empty()) session.set_other_context({request.other_context, other});
  if (!adapters.empty()) session.set_adapters(adapters);
  if (request.chat) {
    chat(session);
  } else {
    shine::answer_questions(session, request.questions, arguments.json);
  }
  return 0;
}

void add_knowledge(CLI::App& app, Arguments& arguments) {
  shine::AnswerRequest& request = arguments.request;
  app.add_option_function<std::string>(
      "--methods", [&](const std::string& list) { request.methods = shine::parse_methods(list); },
      "who answers, side by side: naive,in_context,shine,shuffled; without: shine");
  shine::is_path(app.add_option("--checkpoint", request.checkpoint,
                                "trained weights of shine: run folder or checkpoint; without: run.dir"));
  app.add_option("--context", request.context, "file that is asked about; -: standard input");
  app.add_option("--other-context", request.other_context, "file whose LoRA answers as shuffled");
  app.add_option("--adapter", request.adapters, "PATH[:WEIGHT] for shine in place of a LoRA; several are added")
      ->allow_extra_args(false);
  app.add_flag("--any-backbone", request.any_backbone, "take adapters of another backbone");
  shine::add_enum_option<shine::LongContext>(app, "--over-long",
                                             "context above evaluation.context_max_length: error (default) or cut",
                                             [&](shine::LongContext chosen) {
                                               request.over_long = true;
                                               arguments.session.over_long = chosen;
                                             });
}

void add_questions(CLI::App& app, Arguments& arguments) {
  CLI::Option* const questions =
      app.add_option("--question", arguments.request.questions, "asked in turn, as shine_test_mqa asks")
          ->allow_extra_args(false);
  CLI::Option* const chat =
      app.add_flag("--chat", arguments.request.chat, "conversation in the terminal; its lines are not kept");
  const auto ask_alone = [&](std::int64_t) { arguments.session.form = shine::QaForm::one_question; };
  app.add_flag_function("--alone", ask_alone, "each question by itself, as shine_test_1qa asks");
  app.add_flag("--json", arguments.json, "a line each: method, question, answer, ids, finish, seconds")->excludes(chat);
  chat->excludes(questions);
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app{"Answers questions about a text by the LoRA generated from it, or without."};
  shine::is_path(app.add_option("CONFIG", arguments.config, "YAML file, the same as for training"))->required();
  app.add_option("overrides", arguments.overrides, "key.path=value, e.g. run.device=cpu");
  add_knowledge(app, arguments);
  add_questions(app, arguments);
  app.footer("Example: shine_generate c.yaml --checkpoint runs/a --context note.txt --question \"Who sold it?\"");
  const auto body = [&] {
    arguments.session.any_backbone = arguments.request.any_backbone;
    return answer(arguments);
  };
  return shine::run_command_line("shine_generate", app, argc, argv, body, shine::kMemoryCure);
}
