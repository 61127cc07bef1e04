#include "bench/step_report.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "kernels/fused.h"
#include "shine/common/str.h"
#include "shine/config/enum_names.h"

namespace shine::bench {
namespace {

constexpr double kMebi = 1 << 20, kGiga = 1e9, kMilli = 1e-3;

double ms(double seconds) {
  return seconds / kMilli;
}

std::string length_text(LengthRange range) {
  return range.shortest == range.longest ? str(range.longest) : str(range.shortest, " to ", range.longest);
}

void print_setting(const StepReport& report) {
  const BenchSize& size = report.size;
  std::printf(
      "%s: H %lld, L %lld, vocabulary %lld, r %lld, r_m %lld, %lld memory tokens; %.2f M frozen, %.2f M trained\n",
      size.name.c_str(), static_cast<long long>(size.decoder.hidden_size), static_cast<long long>(size.decoder.layers),
      static_cast<long long>(size.decoder.vocab_size), static_cast<long long>(size.hypernetwork.lora_rank),
      static_cast<long long>(size.hypernetwork.meta_lora_rank), static_cast<long long>(report.memory_tokens),
      static_cast<double>(report.frozen) * 1e-6, static_cast<double>(report.trained) * 1e-6);
  std::printf(
      "contexts of %s tokens, conversations of %s, batch %lld x accumulation %lld, %s on %s, %d threads, "
      "fused operations %s, M2P graph %s%s%s\n",
      length_text(size.contexts).c_str(), length_text(size.conversations).c_str(), static_cast<long long>(size.batch),
      static_cast<long long>(size.accumulation), report.options.dtype.c_str(), report.options.device.c_str(),
      report.threads, std::string(enum_name(fused_ops())).c_str(),
      std::string(enum_name(report.options.m2p_graph)).c_str(), report.options.recompute ? ", recomputation" : "",
      report.options.pass_tokens > 0 ? str(", passes of up to ", report.options.pass_tokens, " tokens").c_str() : "");
  std::printf("system load %.2f before, %.2f after (this program included)\n\n", report.load_before, report.load_after);
}

void print_rate(const StepReport& report, const StepMeasurement& step) {
  const auto [slowest, fastest] =
      std::minmax_element(report.steps.begin(), report.steps.end(),
                          [](const auto& a, const auto& b) { return a.tokens_per_second() < b.tokens_per_second(); });
  const auto tokens = static_cast<double>(step.tokens());
  std::printf("%-34s %10.0f   (median of %zu steps; %.0f to %.0f)\n", "tokens/s, contexts + conversations",
              step.tokens_per_second(), report.steps.size(), slowest->tokens_per_second(),
              fastest->tokens_per_second());
  std::printf("%-34s %10.1f   (%lld + %lld tokens, %lld labels)\n", "ms per optimizer step", ms(step.seconds),
              static_cast<long long>(step.context_tokens), static_cast<long long>(step.conversation_tokens),
              static_cast<long long>(step.labels));
  if (report.options.stage_steps > 0) {
    std::printf("%-34s %10.4g   (%lld steps at the mean of those measured)\n", "hours of the stage",
                stage_hours(report.steps, report.options.stage_steps),
                static_cast<long long>(report.options.stage_steps));
  }
  const double total = step.flops.total();
  const auto share = [total](double flops) { return 100 * flops / total; };
  std::printf("%-34s %10.4f   (backbone %.0f %%, LoRA %.0f %%, attention %.0f %%, M2P %.0f %%, head %.0f %%)\n",
              "GFLOP per token", total / tokens / kGiga, share(step.flops.backbone), share(step.flops.lora),
              share(step.flops.attention), share(step.flops.m2p), share(step.flops.head));
  const ProductRate& rate = report.product_rate;
  std::printf("%-34s %10.3f\n", "TFLOP/s", total / step.seconds * 1e-12);
  std::printf("%-34s %10.3f   (three sides of %lld, %s)\n", "matrix product, TFLOP/s", rate.flops_per_second * 1e-12,
              static_cast<long long>(rate.side), report.options.dtype.c_str());
  std::printf("%-34s %10.0f\n", "floor, tokens/s", rate.flops_per_second / (total / tokens));
  std::printf("%-34s %9.1f%%\n", "share of the floor", 100 * report.floor_share(step));
  std::printf("%-34s %10.1f   (above %.1f when the model was loaded)\n\n", "peak memory, MiB",
              static_cast<double>(report.peak_bytes) / kMebi, static_cast<double>(report.loaded_bytes) / kMebi);
}

void print_parts(const StepMeasurement& step) {
  std::printf("%-34s %10s %8s   (median of the steps run with a clock: %.1f ms)\n", "part", "ms", "share",
              ms(step.seconds));
  for (std::size_t i = 0; i < kParts; ++i) {
    std::printf("%-34s %10.2f %7.1f%%\n", std::string(name_of(static_cast<Part>(i))).c_str(), ms(step.parts[i]),
                100 * step.parts[i] / step.seconds);
  }
  std::printf("\n");
}

void print_ops(const StepReport& report) {
  const auto steps = static_cast<double>(report.steps.size());
  std::printf("%-48s %10s %8s %10s %10s   (profiled: %.1f ms a step)\n", "operation, self time", "ms/step", "share",
              "calls/step", "GFLOP/s", ms(report.profiled_seconds / steps));
  double rest = report.profiled_seconds;
  for (std::size_t i = 0; i < report.ops.size(); ++i) {
    const OpCost& op = report.ops[i];
    if (i >= static_cast<std::size_t>(report.options.ops)) break;
    rest -= op.self_seconds;
    std::printf("%-48s %10.2f %7.1f%% %10.0f ", op.name.c_str(), ms(op.self_seconds / steps),
                100 * op.self_seconds / report.profiled_seconds, static_cast<double>(op.calls) / steps);
    if (op.flops > 0) std::printf("%10.1f", op.flops / op.self_seconds / kGiga);
    std::printf("\n");
  }
  std::printf("%-48s %10.2f %7.1f%%\n", "all else", ms(rest / steps), 100 * rest / report.profiled_seconds);
}

}  // namespace

const StepMeasurement& median_step(const std::vector<StepMeasurement>& steps) {
  std::vector<const StepMeasurement*> sorted;
  for (const StepMeasurement& step : steps) sorted.push_back(&step);
  std::sort(sorted.begin(), sorted.end(),
            [](const auto* a, const auto* b) { return a->tokens_per_second() > b->tokens_per_second(); });
  return *sorted[(sorted.size() - 1) / 2];
}

double stage_hours(const std::vector<StepMeasurement>& measured, std::int64_t steps) {
  double seconds = 0.0;
  for (const StepMeasurement& step : measured) seconds += step.seconds;
  return static_cast<double>(steps) * seconds / static_cast<double>(measured.size()) / 3600;
}

void print_report(const StepReport& report) {
  print_setting(report);
  print_rate(report, median_step(report.steps));
  print_parts(median_step(report.timed));
  if (report.options.ops > 0) print_ops(report);
}

nlohmann::ordered_json to_json(const StepReport& report) {
  const StepMeasurement& step = median_step(report.steps);
  const StepMeasurement& timed = median_step(report.timed);
  nlohmann::ordered_json json{{"size", report.size.name},
                              {"dtype", report.options.dtype},
                              {"device", report.options.device},
                              {"threads", report.threads},
                              {"recompute", report.options.recompute},
                              {"activation_memory", report.options.activation_mebibytes},
                              {"pass_tokens", report.options.pass_tokens},
                              {"fused", enum_name(fused_ops())},
                              {"m2p_graph", enum_name(report.options.m2p_graph)},
                              {"seed", report.options.seed},
                              {"tokens_per_second", step.tokens_per_second()},
                              {"peak_memory_bytes", report.peak_bytes},
                              {"loaded_memory_bytes", report.loaded_bytes},
                              {"seconds_per_step", step.seconds},
                              {"flops_per_token", step.flops.total() / static_cast<double>(step.tokens())},
                              {"flops_per_second", step.flops.total() / step.seconds},
                              {"product_flops_per_second", report.product_rate.flops_per_second},
                              {"floor_share", report.floor_share(step)},
                              {"load_before", report.load_before},
                              {"load_after", report.load_after}};
  if (report.options.stage_steps > 0) {
    json["stage_steps"] = report.options.stage_steps;
    json["stage_hours"] = stage_hours(report.steps, report.options.stage_steps);
  }
  for (std::size_t i = 0; i < kParts; ++i) {
    json["parts"][std::string(name_of(static_cast<Part>(i)))] = ms(timed.parts[i]);
  }
  for (const StepMeasurement& each : report.steps) {
    json["steps"].push_back({{"seconds", each.seconds},
                             {"context_tokens", each.context_tokens},
                             {"conversation_tokens", each.conversation_tokens},
                             {"labels", each.labels},
                             {"flops", each.flops.total()}});
  }
  for (const OpCost& op : report.ops) {
    const auto steps = static_cast<double>(report.steps.size());
    json["ops"].push_back({{"name", op.name},
                           {"self_ms", ms(op.self_seconds / steps)},
                           {"calls", static_cast<double>(op.calls) / steps},
                           {"flops", op.flops / steps}});
  }
  return json;
}

}  // namespace shine::bench
