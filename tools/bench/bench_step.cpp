// Measures one optimizer step of SHINE training with random weights and tokens.
#include <nlohmann/json.hpp>

#include "bench/bench_size.h"
#include "bench/machine.h"
#include "bench/step_plan.h"
#include "bench/step_report.h"
#include "bench/step_subject.h"
#include "bench/step_trace.h"
#include "command_line.h"
#include "enum_option.h"
#include "io/files/text_file.h"
#include "ops/kernel_checks.h"
#include "shine/common/str.h"
#include "shine/tensor/device.h"
#include "shine/train/train_step.h"

namespace {

using namespace shine;
using namespace shine::bench;

StepMeasurement describe(const StepSubject& subject, const std::vector<ModelBatch>& batches) {
  StepMeasurement step;
  for (const ModelBatch& batch : batches) {
    step.context_tokens += batch.contexts.layout.tokens();
    step.conversation_tokens += batch.conversations.layout.tokens();
    step.labels += batch.labelled.count();
    step.flops += count_flops(subject.size.decoder, subject.size.hypernetwork, subject.hypernetwork->shape(), batch);
  }
  return step;
}

/// Steps `first` .. `first + count - 1` of the seeded batches.
std::vector<StepMeasurement> run_steps(const StepSubject& subject, TrainStep& step, const StepOptions& options,
                                       int count) {
  std::vector<StepMeasurement> measured;
  for (int i = 0; i < count; ++i) {
    const auto batches = draw_batches(subject.size, options.seed, static_cast<std::uint64_t>(i), subject.device);
    StepMeasurement measurement = describe(subject, batches);
    const double start = now(subject.device);
    step.run(batches, kLearningRate);
    measurement.seconds = now(subject.device) - start;
    measured.push_back(measurement);
  }
  return measured;
}

std::vector<StepMeasurement> run_timed(const StepSubject& subject, AdamW& optimizer, const StepOptions& options) {
  PartClock clock(subject.device);
  TimedObjective objective(*subject.hypernetwork, clock);
  TrainStep step(objective, optimizer, subject.config, {});
  std::vector<StepMeasurement> measured;
  for (int i = 0; i < options.steps; ++i) {
    const auto batches = draw_batches(subject.size, options.seed, static_cast<std::uint64_t>(i), subject.device);
    StepMeasurement measurement = describe(subject, batches);
    const double start = now(subject.device);
    objective.begin_step();
    const StepResult result = step.run(batches, kLearningRate);
    clock.end_of(Part::optimizer);
    clock.move(result.communication_seconds, Part::optimizer, Part::communication);
    measurement.seconds = now(subject.device) - start;
    measurement.parts = clock.seconds();
    measured.push_back(measurement);
  }
  return measured;
}

void measure(const StepSubject& subject, StepReport& report) {
  const StepOptions& options = report.options;
  report.loaded_bytes = subject.memory->bytes_at_start();
  const ShineObjective objective(*subject.hypernetwork, /*with_penalty=*/false);
  AdamW optimizer(make_param_groups(objective.trained(), subject.config), subject.config);
  TrainStep step(objective, optimizer, subject.config, {});
  run_steps(subject, step, options, options.warmup);
  report.steps = run_steps(subject, step, options, options.steps);
  report.peak_bytes = subject.memory->bytes_above_start();
  report.timed = run_timed(subject, optimizer, options);
  if (options.ops > 0) {
    const OpProfile profile;
    for (const StepMeasurement& each : run_steps(subject, step, options, options.steps)) {
      report.profiled_seconds += each.seconds;
    }
    report.ops = profile.costs();
  }
  if (!options.trace.empty()) {
    StepTrace trace(subject.device);
    run_steps(subject, step, options, /*count=*/1);
    trace.save(options.trace);
  }
  report.product_rate = measure_product_rate(subject.decoder.dtype(), subject.device);
}

StepReport run_benchmark(const StepOptions& options) {
  StepReport report;
  report.options = options;
  report.load_before = load_average();
  report.threads = set_threads(options.threads);
  BenchSize size = choose_size(options.size);
  size.hypernetwork.cuda_graph = options.m2p_graph;
  StepSubject subject(size, {options.dtype, open_device(options.device), options.recompute, options.seed,
                             options.activation_mebibytes * (std::int64_t{1} << 20) / 2});
  subject.config.pass_tokens = options.pass_tokens;
  report.size = subject.size;
  report.memory_tokens = subject.hypernetwork->memory_tokens();
  report.frozen = count_parameters(subject.decoder);
  report.trained = count_trained(*subject.hypernetwork);
  measure(subject, report);
  report.load_after = load_average();
  return report;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Measures one optimizer step: tokens/s, time of each part, peak memory, share of the floor, operations."};
  StepOptions options;
  add_size_options(app, options.size, /*conversations=*/true);
  add_run_options(app, options, "steps");
  app.add_option("--steps", options.steps, "steps measured, each on batches of its own; the median counts")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  app.add_option("--ops", options.ops, "operations listed; 0 = no profile")
      ->check(CLI::Range(0, 1000))
      ->capture_default_str();
  add_cuda_graph_option(app, "--m2p-graph", options.m2p_graph, "as hypernetwork.cuda_graph");
  app.add_flag("--recompute", options.recompute, "save only layer inputs for the backward");
  app.add_option("--activation-memory", options.activation_mebibytes, "MiB, as model.activation_memory; 0 = no limit")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 40))
      ->capture_default_str();
  app.add_option("--pass-tokens", options.pass_tokens, "as optimizer.pass_tokens; 0 = each micro-batch by itself")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 40))
      ->capture_default_str();
  app.add_option("--plan", options.plan, "write shapes and lengths to this file, measure nothing");
  app.add_option("--stage-steps", options.stage_steps, "also print the hours of a stage of so many steps")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40));
  app.footer("Example: bench_step --size 0.6b --dtype bfloat16 --steps 3 --ops 0 --stage-steps 20000");
  return run_command_line("bench_step", app, argc, argv, [&] {
    if (!options.plan.empty()) {
      write_file_atomically(options.plan, step_plan(choose_size(options.size), options).dump() + "\n");
      return 0;
    }
    const StepReport report = run_benchmark(options);
    print_report(report);
    if (!options.json.empty()) write_file_atomically(options.json, to_json(report).dump(2) + "\n");
    return 0;
  });
}
