#pragma once

#include <filesystem>
#include <set>
#include <string>

#include "kernels/fused.h"

namespace shine {

/// Which kernels have passed their checks earlier, by the same build on the same kind of GPU: lines "KEY kernel" of a
/// file of the user's. It only saves time: where it cannot be read or written, everything is checked.
class KernelVerdicts {
 public:
  /// @param file  empty: nothing is remembered
  /// @param key   without white space
  KernelVerdicts(std::filesystem::path file, std::string key);

  bool holds(CudaKernel kernel) const { return passed_.contains(kernel); }
  void add(CudaKernel kernel);

  /// $XDG_CACHE_HOME/shine/kernels, or that in $HOME/.cache; empty without either.
  static std::filesystem::path file_of_user();

 private:
  std::string line_of(CudaKernel kernel) const;

  std::filesystem::path file_;
  std::string key_;
  std::set<CudaKernel> passed_;
};

}  // namespace shine
