#pragma once

#include <string>

#include "app/evaluate/evaluate_qa.h"
#include "command_line.h"
#include "evaluation_command.h"
#include "shine/app/builders.h"

namespace shine {

/// The main of shine_test_mqa and shine_test_1qa.
inline int evaluate_qa_command(const std::string& program, const std::string& description, QaForm form, int argc,
                               char** argv) {
  CLI::App app{description + " Exit status 75: stopped by a signal, run again with --resume to go on."};
  const EvaluationCommand command(app);
  QaEvaluationRequest request{program, form};
  app.add_flag("--prompts", request.save_prompts,
               "write prompts.jsonl: the ids of every prompt and of what was generated after it");
  const std::string stage = form == QaForm::multi_turn ? "ift_mqa" : "ift_1qa";
  app.footer("Example: " + program + " configs/tiny-world/" + stage + ".yaml --baselines naive,in_context,shine");
  return run_command_line(
      program, app, argc, argv,
      [&] {
        request.resume = command.resume();
        return command.run(
            [&](const ExperimentConfig& config, Rank& rank) { return evaluate_qa(config, request, rank); });
      },
      kMemoryCure);
}

}  // namespace shine
