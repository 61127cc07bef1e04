#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "shine/config/run_config.h"
#include "shine/distributed/process_group.h"

namespace shine {

/// An evaluation as units that any rank can do on its own; rank 0 gathers the results.
class UnitWork {
 public:
  virtual ~UnitWork() = default;

  /// The same number on every rank.
  virtual std::size_t units() const = 0;

  /// The results of a unit as texts, independent of what was done before. Nothing where it was asked to stop.
  virtual std::optional<std::vector<std::string>> run(std::size_t unit) = 0;

  /// On rank 0, in the order of the units: stores the results. Returns a note for the progress line.
  virtual std::string keep(std::size_t unit, const std::vector<std::string>& results) = 0;
};

/// How far an evaluation came.
struct UnitsDone {
  std::size_t units = 0;   ///< stored by rank 0, without a gap from the first on
  std::string stopped_by;  ///< the first rank's reason that had one; empty: all were done
};

/// Does the units in rounds, in which each rank does one: rank r of n the r-th that is left. Whether a rank is to stop
/// is agreed at the end of a round; what was done behind a unit that is missing then is lost. Every rank returns the
/// same.
/// @param done         units of an earlier part of the evaluation: rank 0's number counts
/// @param stop_reason  asked on every rank: why it has to stop, or nothing
UnitsDone run_units(ProcessGroup& group, UnitWork& work, std::size_t done,
                    const std::function<std::string()>& stop_reason, ProgressForm progress);

}  // namespace shine
