// Tests reconstruction and completion against the length of the context.
#include <cstdio>

#include "command_line.h"
#include "evaluation_command.h"
#include "shine/app/builders.h"
#include "shine/app/pretrain_test.h"
#include "shine/common/stop_signals.h"

int main(int argc, char** argv) {
  CLI::App app{
      "Measures loss and perplexity of reconstruction and completion against the length of the context, by methods "
      "shine, shuffled and naive. Exit status 75: stopped by a signal, run again with --resume to go on."};
  const shine::EvaluationCommand command(app);
  return shine::run_command_line(
      "shine_test_pretrain", app, argc, argv,
      [&] {
        const shine::PretrainTestOutcome outcome = shine::run_pretrain_test(command.load(), command.resume());
        std::printf("%s\nresults: %s\n", outcome.report.c_str(), outcome.folder.c_str());
        if (outcome.stopped_by.empty()) return 0;
        shine::log_warning("stopped by " + outcome.stopped_by + ": run the same command with --resume to go on");
        return shine::exit_stopped;
      },
      shine::memory_cure);
}
