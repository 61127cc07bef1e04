#pragma once

#include <filesystem>
#include <string>

#include "app/train/rank.h"
#include "shine/app/experiment_config.h"
#include "shine/data/qa_prompts.h"

namespace shine {

/// What a question-answering test is asked to do beside its configuration.
struct QaTestRequest {
  std::string program;  ///< "shine_test_mqa"
  QaForm form = QaForm::multi_turn;
  bool resume = false;        ///< go on with the results in the folder
  bool save_prompts = false;  ///< write prompts.jsonl: the ids of every prompt and of what was written after it
};

struct QaTestOutcome {
  std::filesystem::path folder;
  std::string stopped_by;  ///< the signal; then the report is of what there is
  std::string report;      ///< Markdown; empty on ranks above 0
};

/// Tests the methods of evaluation.baselines on evaluation.data (SPEC section 9). Into the results folder go
/// answers.jsonl (a line an answer, a line a context; complete contexts after each batch), what write_report writes,
/// and judge.jsonl where evaluation.judge is set. Holds the stop signals. Weights are needed by shine and shuffled
/// alone: those of evaluation.checkpoint, else of run.dir. Throws what reading and building throw.
///
/// Every rank of the job calls it. Batches are shared out, rank 0 alone writes results and report, and what it writes
/// does not depend on the number of ranks, but for times and memory.
QaTestOutcome run_qa_test(const ExperimentConfig& config, const QaTestRequest& request, Rank& rank);

}  // namespace shine
