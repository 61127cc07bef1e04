#include "bench/run_options.h"

#include <CLI/CLI.hpp>

#include "enum_option.h"

namespace shine::bench {

void add_run_options(CLI::App& app, RunOptions& options, const std::string& unit) {
  app.add_option("--dtype", options.dtype, "dtype of the frozen weights")
      ->check(CLI::IsMember({"float32", "bfloat16"}))
      ->capture_default_str();
  app.add_option("--device", options.device, "auto, cpu, cuda or cuda:N")->capture_default_str();
  add_fused_option(app);
  app.add_option("--threads", options.threads, "CPU threads; 0 = as the system gives");
  app.add_option("--warmup", options.warmup, unit + " before them")->check(CLI::Range(0, 1000))->capture_default_str();
  app.add_option("--seed", options.seed, "of weights, lengths and tokens")->capture_default_str();
  app.add_option("--trace", options.trace, "write a Chrome trace of more " + unit + " to this file");
  app.add_option("--json", options.json, "also write the numbers to this file");
}

}  // namespace shine::bench
