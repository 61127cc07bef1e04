// Measures the generation of LoRAs from contexts: memory pass, M2P, slicing, without gradients.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "bench/machine.h"
#include "bench/model_flops.h"
#include "bench/run_options.h"
#include "bench/size_options.h"
#include "bench/step_subject.h"
#include "bench/step_trace.h"
#include "command_line.h"
#include "io/files/text_file.h"
#include "ops/kernel_checks.h"
#include "shine/common/str.h"
#include "shine/tensor/device.h"

namespace {

using namespace shine;
using namespace shine::bench;

struct Options : RunOptions {
  SizeOptions size;
  int repeats = 9;
};

constexpr std::array<const char*, 3> kPartNames{"memory_pass", "m2p", "slicing"};
using Parts = std::array<double, kPartNames.size()>;

struct Measurement {
  double seconds = 0.0, flops = 0.0;
  std::int64_t tokens = 0;
  Parts parts{};

  double tokens_per_second() const { return static_cast<double>(tokens) / seconds; }
};

/// One batch of contexts to its LoRAs; the parts are timed in a run of their own, since each waits for the device.
Measurement generate(const StepSubject& subject, const TokenRows& contexts) {
  const c10::InferenceMode inference;
  const Hypernetwork& hypernetwork = *subject.hypernetwork;
  Measurement found;
  found.tokens = contexts.layout.tokens();
  found.flops =
      count_generation_flops(subject.size.decoder, subject.size.hypernetwork, hypernetwork.shape(), contexts.layout)
          .total();
  double last = now(subject.device);
  hypernetwork.generate(contexts);
  found.seconds = now(subject.device) - last;
  std::size_t part = 0;
  const auto end_of_part = [&] {
    const double time = now(subject.device);
    found.parts.at(part++) = time - last;
    last = time;
  };
  last = now(subject.device);
  const at::Tensor states = hypernetwork.extract_memory(contexts);
  end_of_part();
  const at::Tensor vector = hypernetwork.generate_vector(states);
  end_of_part();
  hypernetwork.slice(vector);
  end_of_part();
  return found;
}

struct Report {
  Measurement median;
  ProductRate product_rate;
  std::size_t peak_bytes = 0, loaded_bytes = 0;

  double floor_share() const { return median.flops / product_rate.flops_per_second / median.seconds; }
};

Report measure(const Options& options, const StepSubject& subject) {
  std::vector<Measurement> all;
  for (int i = 0; i < options.warmup + options.repeats; ++i) {
    const auto ids = draw_contexts(subject.size, options.seed + static_cast<std::uint64_t>(i), subject.size.batch);
    all.push_back(generate(subject, TokenRows::pack(ids, subject.device)));
  }
  all.erase(all.begin(), all.begin() + options.warmup);
  std::ranges::sort(all, std::greater{}, &Measurement::tokens_per_second);
  Report report;
  report.median = all[(all.size() - 1) / 2];
  report.peak_bytes = subject.memory->bytes_above_start();
  report.loaded_bytes = subject.memory->bytes_at_start();
  if (!options.trace.empty()) {
    const auto contexts =
        TokenRows::pack(draw_contexts(subject.size, options.seed, subject.size.batch), subject.device);
    const c10::InferenceMode inference;
    StepTrace trace(subject.device);
    subject.hypernetwork->generate(contexts);
    trace.save(options.trace);
  }
  report.product_rate = measure_product_rate(subject.decoder.dtype(), subject.device);
  return report;
}

void print(const Options& options, const StepSubject& subject, const Report& report) {
  const Measurement& median = report.median;
  std::printf("%s: batch %lld, %s on %s, %d threads, %lld memory tokens; system load %.2f\n\n",
              subject.size.name.c_str(), static_cast<long long>(subject.size.batch), options.dtype.c_str(),
              options.device.c_str(), at::get_num_threads(),
              static_cast<long long>(subject.hypernetwork->shape().memory_tokens), load_average());
  std::printf("%-34s %10.0f   (median of %d)\n", "tokens/s of contexts", median.tokens_per_second(), options.repeats);
  std::printf("%-34s %10.2f   (%lld tokens)\n", "ms for the batch", 1e3 * median.seconds,
              static_cast<long long>(median.tokens));
  for (std::size_t i = 0; i < kPartNames.size(); ++i) {
    std::printf("  %-32s %10.2f\n", kPartNames.at(i), 1e3 * median.parts.at(i));
  }
  std::printf("%-34s %10.3f   (of %.3f for a product with three sides of %lld)\n", "TFLOP/s",
              1e-12 * median.flops / median.seconds, 1e-12 * report.product_rate.flops_per_second,
              static_cast<long long>(report.product_rate.side));
  std::printf("%-34s %9.1f%%\n", "share of the floor", 100 * report.floor_share());
  std::printf("%-34s %10.1f   (above %.1f when the model was loaded)\n", "peak memory, MiB",
              static_cast<double>(report.peak_bytes) / (1 << 20), static_cast<double>(report.loaded_bytes) / (1 << 20));
}

nlohmann::ordered_json to_json(const Options& options, const StepSubject& subject, const Report& report) {
  nlohmann::ordered_json json{{"size", subject.size.name},
                              {"dtype", options.dtype},
                              {"device", options.device},
                              {"threads", at::get_num_threads()},
                              {"batch", subject.size.batch},
                              {"tokens", report.median.tokens},
                              {"seconds", report.median.seconds},
                              {"tokens_per_second", report.median.tokens_per_second()},
                              {"peak_memory_bytes", report.peak_bytes},
                              {"loaded_memory_bytes", report.loaded_bytes},
                              {"flops", report.median.flops},
                              {"product_flops_per_second", report.product_rate.flops_per_second},
                              {"floor_share", report.floor_share()},
                              {"load_average", load_average()}};
  for (std::size_t i = 0; i < kPartNames.size(); ++i) json["parts"][kPartNames.at(i)] = 1e3 * report.median.parts.at(i);
  return json;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Measures context -> LoRA without gradients: tokens/s, time of each part, share of the floor, memory."};
  Options options;
  options.warmup = 2;
  add_size_options(app, options.size, /*conversations=*/false);
  add_run_options(app, options, "batches");
  app.add_option("--repeats", options.repeats, "batches measured; the median counts")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  app.footer("Example: bench_generate_lora --size 0.6b --dtype bfloat16 --context 1024");
  return run_command_line("bench_generate_lora", app, argc, argv, [&] {
    set_threads(options.threads);
    const StepSubject subject(choose_size(options.size),
                              {options.dtype, open_device(options.device), /*recompute=*/false, options.seed});
    const Report report = measure(options, subject);
    print(options, subject, report);
    if (!options.json.empty()) write_file_atomically(options.json, to_json(options, subject, report).dump(2) + "\n");
    return 0;
  });
}
