#pragma once

#include <string>

#include "app/evaluate/evaluation_inputs.h"
#include "app/train/rank.h"
#include "data/qa/qa_prompts.h"
#include "shine/common/api.h"

namespace shine {

/// Options of an evaluation of question answering beside its configuration.
struct QaEvaluationRequest {
  std::string program;  ///< "shine_test_mqa"
  QaForm form = QaForm::multi_turn;
  bool resume = false;        ///< go on with the results in the folder
  bool save_prompts = false;  ///< write prompts.jsonl: the ids of every prompt and of what was generated after it
};

/// Compares the methods of evaluation.baselines on the questions of evaluation.data. Into the results folder go
/// answers.jsonl (a line per answer, a line per context; complete contexts after each batch), what write_report writes,
/// and judge.jsonl where evaluation.judge is set. Holds the stop signals. Weights are needed only by shine and
/// shuffled: those of evaluation.checkpoint, else of run.dir. Throws what reading and building throw.
///
/// Every rank of the job calls it. Batches are shared out, only rank 0 writes results and report, which
/// do not depend on the number of ranks, but for times and memory.
SHINE_API EvaluationOutcome evaluate_qa(const ExperimentConfig& config, const QaEvaluationRequest& request, Rank& rank);

}  // namespace shine
