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

  /// The results of a unit as texts, independent of what was done before. Returns nothing if asked to stop.
  virtual std::optional<std::vector<std::string>> run(std::size_t unit) = 0;

  /// On rank 0, in the order of the units: stores the results. Returns a note for the progress line.
  virtual std::string keep(std::size_t unit, const std::vector<std::string>& results) = 0;
};

/// How far an evaluation got.
struct UnitsDone {
  std::size_t units = 0;   ///< stored by rank 0, without a gap from the first on
  std::string stopped_by;  ///< the reason of the first rank that had one; empty: all units are done
};

/// Does the units in rounds of one per rank: rank r does the r-th of those left. The ranks agree at the end of a round
/// whether to stop; results behind a missing unit are dropped. Every rank returns the same.
/// @param done         units of an earlier part of the evaluation: rank 0's number counts
/// @param stop_reason  asked on every rank: why it has to stop, or nothing
UnitsDone run_units(ProcessGroup& group, UnitWork& work, std::size_t done,
                    const std::function<std::string()>& stop_reason, ProgressForm progress);

}  // namespace shine
