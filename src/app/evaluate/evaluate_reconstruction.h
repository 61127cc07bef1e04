#pragma once

#include "app/evaluate/evaluation_inputs.h"
#include "app/train/rank.h"
#include "shine/common/api.h"

namespace shine {

/// Reconstruction and completion of the documents of evaluation.data against their length: in each bucket of
/// evaluation.buckets the documents that are long enough, cut to its length (BucketTexts), by the methods of
/// evaluation.baselines that have a meaning here: shine, shuffled (the LoRA of another text of the bucket) and naive
/// (the request alone). evaluation.limit counts documents per bucket. Into the results folder go losses.jsonl (a line
/// per text, task and method; after each batch) and what write_perplexity writes. Holds the stop signals. Weights are
/// those of evaluation.checkpoint, else of run.dir. Throws what reading and building throw, ConfigError where there is
/// nothing to evaluate.
///
/// Every rank of the job calls it. Batches are shared out, only rank 0 writes results and report, which
/// do not depend on the number of ranks.
/// @param resume  go on with the results in the folder
SHINE_API EvaluationOutcome evaluate_reconstruction(const ExperimentConfig& config, bool resume, Rank& rank);

}  // namespace shine
