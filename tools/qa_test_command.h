#pragma once

#include <cstdio>
#include <string>

#include "command_line.h"
#include "evaluation_command.h"
#include "shine/app/builders.h"
#include "shine/app/qa_test.h"
#include "shine/common/stop_signals.h"

namespace shine {

/// The main of both question-answering tests.
inline int run_qa_test_command(const std::string& program, const std::string& description, QaForm form, int argc,
                               char** argv) {
  CLI::App app{description + " Exit status 75: stopped by a signal, run again with --resume to go on."};
  const EvaluationCommand command(app);
  QaTestRequest request{program, form};
  app.add_flag("--prompts", request.save_prompts,
               "write prompts.jsonl: the ids of every prompt and of what was written after it");
  return run_command_line(
      program, app, argc, argv,
      [&] {
        request.resume = command.resume();
        const QaTestOutcome outcome = run_qa_test(command.load(), request);
        std::printf("%s\nresults: %s\n", outcome.report.c_str(), outcome.folder.c_str());
        if (outcome.stopped_by.empty()) return 0;
        log_warning("stopped by " + outcome.stopped_by + ": run the same command with --resume to go on");
        return exit_stopped;
      },
      memory_cure);
}

}  // namespace shine
