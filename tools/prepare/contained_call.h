#pragma once

#include <functional>
#include <string>

namespace shine {

/// What became of a contained call.
struct ContainedResult {
  bool returned = false;  ///< false: the process ended within the call
  std::string value;      ///< what the call returned
  std::string console;    ///< what was written to standard output and error meanwhile, its last 64 KiB
};

/// Runs `work` in a process of its own, for a library that ends the process where it is out of its depth. Nothing of
/// what it changes in memory is seen here; what it throws counts as not returning. Throws IoError where no process can
/// be started.
ContainedResult run_contained(const std::function<std::string()>& work);

}  // namespace shine
