#pragma once

#include <string>

#include "app/evaluate/evaluation_inputs.h"
#include "app/train/rank.h"
#include "data/qa/qa_prompts.h"
#include "shine/common/api.h"

namespace shine {

/// What an evaluation of question answering is asked to do beside its configuration.
struct QaEvaluationRequest {
  std::string program;  ///< "shine_test_mqa"
  QaForm form = QaForm::multi_turn;
  bool resume = false;        ///< go on with the results in the folder
  bool save_prompts = false;  ///< write prompts.jsonl: the ids of every prompt and of what was written after it
};

/// Compares the methods of evaluation.baselines on the questions of evaluation.data. Into the results folder go
/// answers.jsonl (a line an answer, a line a context; complete contexts after each batch), what write_report writes,
/// and judge.jsonl where evaluation.judge is set. Holds the stop signals. Weights are needed by shine and shuffled
/// alone: those of evaluation.checkpoint, else of run.dir. Throws what reading and building throw.
///
/// Every rank of the job calls it. Batches are shared out, rank 0 alone writes results and report, and what it writes
/// does not depend on the number of ranks, but for times and memory.
SHINE_API EvaluationOutcome evaluate_qa(const ExperimentConfig& config, const QaEvaluationRequest& request, Rank& rank);

}  // namespace shine
