#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "shine/config/enum_names.h"
#include "shine/ops/fused.h"

namespace shine {

/// --fused: what `ops.fused` is in the configuration of a run, for programs without one.
inline void add_fused_option(CLI::App& app) {
  constexpr auto names = config_names(FusedOps{});
  const auto set = [](const std::string& name) {
    for (const FusedOps form : {FusedOps::automatic, FusedOps::on, FusedOps::off}) {
      if (enum_name(form) == name) set_fused_ops(form);
    }
  };
  app.add_option_function<std::string>("--fused", set, "fused operations, as ops.fused: auto, on or off")
      ->check(CLI::IsMember(std::vector<std::string>(names.begin(), names.end())));
}

}  // namespace shine
