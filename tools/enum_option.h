#pragma once

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>
#include <vector>

#include "kernels/fused.h"
#include "shine/config/enum_names.h"
#include "shine/config/ops_config.h"

namespace shine {

/// An option that takes the names of an enum's values, as the key of a configuration does.
/// @param set  called with the value chosen
template <class Enum, class Set>
void add_enum_option(CLI::App& app, const std::string& name, const std::string& help, Set set) {
  static constexpr auto names = config_names(Enum{});
  const auto choose = [set](const std::string& chosen) {
    const auto at = std::find(names.begin(), names.end(), chosen);
    set(static_cast<Enum>(at - names.begin()));
  };
  const std::vector<std::string> known(names.begin(), names.end());
  app.add_option_function<std::string>(name, choose, help)->check(CLI::IsMember(known));
}

/// --fused: what `ops.fused` is in the configuration of a run, for programs without one.
inline void add_fused_option(CLI::App& app) {
  add_enum_option<FusedOps>(app, "--fused", "fused operations, as ops.fused: auto, on or off", set_fused_ops);
}

inline void add_cuda_graph_option(CLI::App& app, const std::string& name, CudaGraph& value, const std::string& help) {
  add_enum_option<CudaGraph>(app, name, help + ": auto, on or off", [&value](CudaGraph chosen) { value = chosen; });
}

}  // namespace shine
