#pragma once

#include <filesystem>
#include <string>

#include "shine/common/api.h"

namespace shine {

/// Two run folders side by side, as text for a terminal: keys of their configurations that differ (run.dir left out);
/// program, libraries, device, threads and ranks of their newest readable checkpoints; steps, time, speed; last and
/// smoothed training loss; last and best loss of each validation set; and for how many steps the training losses are
/// identical, which is what tells whether a run repeats another, and where they are not, the largest, mean and last
/// difference of the steps that both have logged, as a share of A's loss; steps where a loss is not finite are counted
/// beside them. A run may be unfinished or running. Throws IoError for a folder that does not exist, FormatError for
/// one that is no run, or for metrics that are no JSON lines (a last line cut off by a crash is left out).
SHINE_API std::string compare_runs(const std::filesystem::path& a, const std::filesystem::path& b);

}  // namespace shine
