#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "bench/machine.h"
#include "bench/model_flops.h"
#include "bench/op_profile.h"
#include "bench/run_options.h"
#include "bench/size_options.h"
#include "bench/step_parts.h"
#include "shine/config/ops_config.h"

namespace shine::bench {

/// The program's options.
struct StepOptions : RunOptions {
  SizeOptions size;
  std::string plan;
  std::int64_t stage_steps = 0;  ///< 0: not asked
  int steps = 9, ops = 20;
  bool recompute = false;
  CudaGraph m2p_graph = CudaGraph::automatic;
  std::int64_t activation_mebibytes = 0;  ///< of two passes together, 0: no limit
  std::int64_t pass_tokens = 0;           ///< see OptimizerConfig
};

/// One optimizer step.
struct StepMeasurement {
  double seconds = 0.0;
  std::int64_t context_tokens = 0, conversation_tokens = 0, labels = 0;
  ModelFlops flops;
  PartSeconds parts{};  ///< zeros unless the parts were timed

  std::int64_t tokens() const { return context_tokens + conversation_tokens; }
  double tokens_per_second() const { return static_cast<double>(tokens()) / seconds; }
};

/// The program's results.
struct StepReport {
  StepOptions options;
  BenchSize size;
  int threads = 0;
  std::int64_t memory_tokens = 0, trained = 0, frozen = 0;
  std::vector<StepMeasurement> steps;  ///< as trained, in the order of running
  std::vector<StepMeasurement> timed;  ///< the same batches again, with the parts timed
  std::vector<OpCost> ops;             ///< over as many steps again
  double profiled_seconds = 0.0;
  ProductRate product_rate;
  std::size_t loaded_bytes = 0, peak_bytes = 0;
  double load_before = 0.0, load_after = 0.0;

  /// Share of the time that the products alone would take at product_rate.
  double floor_share(const StepMeasurement& step) const {
    return step.flops.total() / product_rate.flops_per_second / step.seconds;
  }
};

/// Hours of `steps` steps at the mean time of the measured ones.
double stage_hours(const std::vector<StepMeasurement>& measured, std::int64_t steps);

/// The step whose time per token is the median (the faster of two middle ones).
const StepMeasurement& median_step(const std::vector<StepMeasurement>& steps);

void print_report(const StepReport& report);
nlohmann::ordered_json to_json(const StepReport& report);

}  // namespace shine::bench
