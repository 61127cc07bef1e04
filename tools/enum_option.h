#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "config/enum_value.h"
#include "kernels/fused.h"
#include "shine/config/ops_config.h"

namespace shine {

/// An option that takes the names of an enum's values, as the key of a configuration does.
/// @param set  called with the value chosen
template <NamedEnum E, class Set>
CLI::Option* add_enum_option(CLI::App& app, const std::string& name, const std::string& help, Set set) {
  const auto names = config_names(E{});
  const auto choose = [set](const std::string& chosen) { set(enum_value<E>(chosen).value()); };
  return app.add_option_function<std::string>(name, choose, help)
      ->check(CLI::IsMember(std::vector<std::string>(names.begin(), names.end())));
}

/// --fused: what `ops.fused` is in the configuration of a run, for programs without one.
inline void add_fused_option(CLI::App& app) {
  add_enum_option<FusedOps>(app, "--fused", "fused operations, as ops.fused: auto, on or off", set_fused_ops);
}

inline void add_cuda_graph_option(CLI::App& app, const std::string& name, CudaGraph& value, const std::string& help) {
  add_enum_option<CudaGraph>(app, name, help + ": auto, on or off", [&value](CudaGraph chosen) { value = chosen; });
}

}  // namespace shine
