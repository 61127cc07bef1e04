#pragma once

#include <cstdint>
#include <string>

namespace CLI {
class App;
}

namespace shine::bench {

/// What every benchmark of a model of random weights is asked for.
struct RunOptions {
  std::string dtype = "float32", device = "cpu", json, trace;
  int threads = 0, warmup = 3;
  std::uint64_t seed = 1;
};

/// --dtype, --device, --fused, --threads, --warmup, --seed, --trace, --json.
/// @param unit  what is measured, in the plural: "steps"
void add_run_options(CLI::App& app, RunOptions& options, const std::string& unit);

}  // namespace shine::bench
