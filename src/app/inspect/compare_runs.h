#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "shine/common/api.h"

namespace shine {

/// Runs have letters as their names.
inline constexpr std::size_t kMostRuns = 26;

/// Run folders side by side, as text for a terminal: keys of their configurations that differ (run.dir left out, and
/// evaluation.*, which no training reads, unless `all_keys`); program, libraries, device, threads and ranks of their
/// newest readable checkpoints; steps, time, speed; last and smoothed training loss; last and best loss of each
/// validation set; and for how many steps the training losses of each are identical to the first run's, which is what
/// tells whether a run repeats another, and where they are not, the largest, mean and last difference of the steps that
/// both have logged, as a share of the first run's loss; steps where a loss is not finite are counted beside them. A
/// run may be unfinished or running. Throws ConfigError for fewer than two or more than kMostRuns folders, IoError for
/// a folder that does not exist, FormatError for one that is no run, or for metrics that are no JSON lines (a last line
/// cut off by a crash is left out).
SHINE_API std::string compare_runs(const std::vector<std::filesystem::path>& folders, bool all_keys = false);

}  // namespace shine
