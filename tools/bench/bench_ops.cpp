// Measures operations of the CPU backend beside LibTorch's: attention, and cross-entropy over a vocabulary.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <functional>
#include <limits>

#include "bench/machine.h"
#include "bench/median.h"
#include "command_line.h"
#include "kernels/cpu/attention.h"
#include "kernels/cpu/block_product.h"
#include "ops/linear_cross_entropy.h"
#include "shine/tensor/device.h"

namespace {

using namespace shine;
using namespace shine::bench;

struct Options {
  std::vector<std::int64_t> lengths{356};
  std::int64_t heads = 4, kv_heads = 2, d = 64;
  std::int64_t labelled = 230, width = 256, vocabulary = 8192;
  std::string dtype = "float32";
  int threads = 0, repeats = 15;
  bool processor_time = false;
};

using Work = std::function<void()>;

/// Median seconds of both, taken in turns; each runs often enough to last some milliseconds.
std::pair<double, double> time_pair(const Work& ours, const Work& theirs, const Options& options) {
  const auto clock = [&] {
    return options.processor_time ? static_cast<double>(std::clock()) / CLOCKS_PER_SEC : now(at::kCPU);
  };
  const auto seconds = [&](const Work& work, int times) {
    const double start = clock();
    for (int i = 0; i < times; ++i) work();
    return (clock() - start) / times;
  };
  ours();
  theirs();
  const int times = std::clamp(static_cast<int>(0.02 / seconds(theirs, 1)), 1, 1000);
  std::vector<double> first, second;
  for (int i = 0; i < options.repeats; ++i) {
    first.push_back(seconds(ours, times));
    second.push_back(seconds(theirs, times));
  }
  return {median(first), median(second)};
}

void report(const char* what, double flops, const std::pair<double, double>& seconds) {
  std::printf("%-26s %10.3f ms %8.1f GFLOP/s   LibTorch %10.3f ms %8.1f GFLOP/s   ratio %5.2f\n", what,
              seconds.first * 1e3, flops / seconds.first / 1e9, seconds.second * 1e3, flops / seconds.second / 1e9,
              seconds.second / seconds.first);
  std::fflush(stdout);
}

/// at::scaled_dot_product_attention, row by row.
at::Tensor library_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const RowLayout& rows,
                             const cpu::AttentionHeads& heads) {
  std::vector<at::Tensor> out;
  for (std::int64_t row = 0; row < rows.rows(); ++row) {
    const auto part = [&](const at::Tensor& x, std::int64_t count) {
      const at::Tensor split = x.narrow(0, rows.starts[static_cast<std::size_t>(row)], rows.length(row))
                                   .view({1, -1, count, heads.d})
                                   .transpose(1, 2);
      return count == heads.heads ? split : split.repeat_interleave(heads.heads / count, 1);
    };
    out.push_back(at::scaled_dot_product_attention(part(q, heads.heads), part(k, heads.kv_heads),
                                                   part(v, heads.kv_heads), {}, 0.0, true, heads.scale)
                      .transpose(1, 2)
                      .reshape({-1, heads.heads * heads.d}));
  }
  return at::cat(out);
}

void measure_attention(const Options& options, at::ScalarType type) {
  const cpu::AttentionHeads heads{options.heads, options.kv_heads, options.d, 0.125};
  cpu::AttentionRows rows;
  double pairs = 0;  // of a query and a key that it sees
  for (const std::int64_t length : options.lengths) {
    rows.keys.push(length);
    pairs += static_cast<double>(length) * static_cast<double>(length + 1) / 2;
  }
  rows.queries = rows.keys;
  const auto draw = [&](std::int64_t width) {
    return at::randn({rows.keys.tokens(), width}, at::kFloat).to(type).requires_grad_(true);
  };
  const at::Tensor q = draw(heads.heads * heads.d), k = draw(heads.kv_heads * heads.d),
                   v = draw(heads.kv_heads * heads.d), upstream = draw(heads.heads * heads.d).detach();
  const double product = 2 * pairs * static_cast<double>(heads.heads * heads.d);
  const auto result = cpu::attention_forward(q.detach(), k.detach(), v.detach(), rows, heads);
  const auto forward = [&] { cpu::attention_forward(q.detach(), k.detach(), v.detach(), rows, heads); };
  const auto backward = [&] {
    cpu::attention_backward(upstream, q.detach(), k.detach(), v.detach(), result, rows, heads);
  };
  const auto library_forward = [&] {
    const at::NoGradGuard no_grad;
    library_attention(q, k, v, rows.keys, heads);
  };
  const at::Tensor graph = library_attention(q, k, v, rows.keys, heads);
  const auto library_backward = [&] { torch::autograd::grad({graph}, {q, k, v}, {upstream}, /*retain_graph=*/true); };
  report("attention forward", 2 * product, time_pair(forward, library_forward, options));
  report("attention backward", 5 * product, time_pair(backward, library_backward, options));
}

/// Loss and the gradient of the hidden rows.
void measure_cross_entropy(const Options& options, at::ScalarType type) {
  const at::Tensor hidden = at::randn({options.labelled, options.width}, at::kFloat).to(type).requires_grad_(true);
  const at::Tensor weight = (at::randn({options.vocabulary, options.width}, at::kFloat) * 0.1).to(type);
  const at::Tensor targets = at::randint(options.vocabulary, {options.labelled}, at::kLong);
  const auto with = [&](const auto& form) {
    return [&] { torch::autograd::grad({form(hidden, weight, targets).sum()}, {hidden}); };
  };
  const double flops =
      4 * static_cast<double>(options.labelled) * static_cast<double>(options.width * options.vocabulary);
  report("cross-entropy and gradient", flops,
         time_pair(with(linear_cross_entropy), with(linear_cross_entropy_reference), options));
}

void run(const Options& options) {
  if (options.threads > 0) at::set_num_threads(options.threads);
  const at::ScalarType type = options.dtype == "bfloat16" ? at::kBFloat16 : at::kFloat;
  if (!cpu::kernels_run(type)) throw UnsupportedError("the CPU backend needs a processor with AVX-512", options.dtype);
  std::printf("%s, %d threads, load %.2f, medians of %d\n", options.dtype.c_str(), at::get_num_threads(),
              load_average(), options.repeats);
  measure_attention(options, type);
  measure_cross_entropy(options, type);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Measures operations of the CPU backend beside LibTorch's, in turns."};
  Options options;
  app.add_option("--lengths", options.lengths, "Tokens of each row of the attention")->delimiter(',');
  app.add_option("--heads", options.heads, "Heads of the queries")->capture_default_str();
  app.add_option("--kv-heads", options.kv_heads, "Heads of the keys and values")->capture_default_str();
  app.add_option("--head-dim", options.d, "Values of a head")->capture_default_str();
  app.add_option("--labelled", options.labelled, "Rows of the cross-entropy")->capture_default_str();
  app.add_option("--width", options.width, "Values of its hidden rows")->capture_default_str();
  app.add_option("--vocabulary", options.vocabulary, "Tokens it chooses from")->capture_default_str();
  app.add_option("--dtype", options.dtype, "Type of the operands")
      ->check(CLI::IsMember({"float32", "bfloat16"}))
      ->capture_default_str();
  app.add_option("--threads", options.threads, "0 = as many as LibTorch takes")->capture_default_str();
  app.add_option("--repeats", options.repeats, "Measurements; the median counts")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_flag("--processor-time", options.processor_time,
               "Processor seconds over all threads: steadier where other programs run");
  app.footer("Example: bench_ops --lengths 200,512,300 --dtype bfloat16");
  return run_command_line("bench_ops", app, argc, argv, [&] {
    run(options);
    return 0;
  });
}
