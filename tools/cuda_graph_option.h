#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "shine/config/enum_names.h"
#include "shine/config/ops_config.h"

namespace shine {

/// An option that takes auto, on or off, as the key of a configuration does.
inline void add_cuda_graph_option(CLI::App& app, const std::string& name, CudaGraph& value, const std::string& help) {
  constexpr auto names = config_names(CudaGraph{});
  const auto set = [&value](const std::string& chosen) {
    for (const CudaGraph form : {CudaGraph::automatic, CudaGraph::on, CudaGraph::off}) {
      if (enum_name(form) == chosen) value = form;
    }
  };
  app.add_option_function<std::string>(name, set, help + ": auto, on or off")
      ->check(CLI::IsMember(std::vector<std::string>(names.begin(), names.end())));
}

}  // namespace shine
