#pragma once

#include <memory>

#include "app/evaluate/results_folder.h"
#include "shine/distributed/process_group.h"

namespace shine {

/// The results folder of an evaluation by any number of ranks, which must all be at the same work (see
/// require_same_work): rank 0's, null on the others. Each rank has a log file of its own there, rank 0 log.txt, rank r
/// log-rank<r>.txt. Throws what ResultsFolder throws.
std::unique_ptr<ResultsFolder> open_results(ProcessGroup& group, const std::filesystem::path& path,
                                            const EvaluationIdentity& identity, const std::string& results_name,
                                            bool resume);

}  // namespace shine
