// Measures the memory-to-parameter transformer, forward and backward: the fused layers and the readable ones in turn,
// in both types of operands.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdio>
#include <ctime>

#include "bench/machine.h"
#include "bench/median.h"
#include "command_line.h"
#include "kernels/fused.h"
#include "shine/hypernetwork/memory_to_params.h"

namespace {

using namespace shine;
using namespace shine::bench;

struct Options {
  std::int64_t batch = 1, layers = 8, tokens = 76, width = 256, encoder_layers = 4;
  int threads = 0, repeats = 20;
  std::string form;
};

/// One way to run the network, and the seconds it took; `processor`: of both passes, summed over the threads.
struct Form {
  const char* name;
  FusedOps mode;
  at::ScalarType compute;
  std::vector<double> forward, backward, processor;
};

double processor_seconds() {
  return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

std::shared_ptr<MemoryToParams> make_network(const Options& options, at::ScalarType compute) {
  M2pConfig config;
  config.num_layers = options.encoder_layers;
  M2pShape shape;
  shape.spec.layers = options.layers;
  shape.hidden_size = options.width;
  shape.memory_tokens = options.tokens;
  auto network = make_memory_to_params(config, shape, /*recompute=*/false, compute);
  allocate_parameters(*network, at::kFloat);
  at::Generator generator = at::detail::createCPUGenerator(1);
  network->initialise(generator);
  return network;
}

void run_once(const Options& options, Form& form) {
  const FusedOpsGuard guard(form.mode);
  const auto network = make_network(options, form.compute);
  at::Generator generator = at::detail::createCPUGenerator(2);
  const at::Tensor states = at::empty({options.batch, options.layers, options.tokens, options.width})
                                .normal_(0, 1, generator)
                                .requires_grad_(true);
  const at::Tensor upstream = at::ones({options.batch, options.layers * options.tokens * options.width});
  const double start = now(at::kCPU), processor_start = processor_seconds();
  const at::Tensor vector = network->forward(states);
  const double middle = now(at::kCPU);
  vector.backward(upstream);
  form.forward.push_back(middle - start);
  form.backward.push_back(now(at::kCPU) - middle);
  form.processor.push_back(processor_seconds() - processor_start);
}

void print(const Options& options, std::vector<Form>& forms) {
  const double rows = static_cast<double>(options.batch * options.layers * options.tokens);
  const double width = static_cast<double>(options.width);
  const double flops =
      16.0 * rows * width * width * static_cast<double>(options.encoder_layers);  // forward, no attention
  std::printf("%lld rows of %lld, %lld encoder layers, %d threads, load %.1f, best (median) of %d\n",
              static_cast<long long>(rows), static_cast<long long>(options.width),
              static_cast<long long>(options.encoder_layers), at::get_num_threads(), load_average(), options.repeats);
  for (const Form& form : forms) {
    const double forward = *std::min_element(form.forward.begin(), form.forward.end());
    const double backward = *std::min_element(form.backward.begin(), form.backward.end());
    std::printf("%-18s forward %7.2f (%7.2f) ms  backward %7.2f (%7.2f) ms  %5.0f GFLOP/s  processor %7.2f ms\n",
                form.name, 1e3 * forward, 1e3 * median(form.forward), 1e3 * backward, 1e3 * median(form.backward),
                3 * flops / (forward + backward) / 1e9,
                1e3 * *std::min_element(form.processor.begin(), form.processor.end()));
  }
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"Measures the memory-to-parameter transformer, by fused layers and by readable ones."};
  app.add_option("--batch", options.batch, "Contexts");
  app.add_option("--layers", options.layers, "Layers of the backbone, L");
  app.add_option("--tokens", options.tokens, "Memory tokens, M");
  app.add_option("--width", options.width, "Hidden size, H");
  app.add_option("--encoder-layers", options.encoder_layers, "Encoder layers");
  app.add_option("--threads", options.threads, "CPU threads; 0 = as the system gives");
  app.add_option("--repeats", options.repeats, "Measured passes of each form");
  app.add_option("--form", options.form, "Only forms whose name begins so: float32, \"bfloat16 fused\", ..");
  app.footer("Example: bench_m2p --layers 28 --tokens 176 --width 1024 --form bfloat16");
  return run_command_line("bench_m2p", app, argc, argv, [&] {
    if (options.threads > 0) at::set_num_threads(options.threads);
    std::vector<Form> forms{{"float32 readable", FusedOps::off, at::kFloat, {}, {}, {}},
                            {"float32 fused", FusedOps::automatic, at::kFloat, {}, {}, {}},
                            {"bfloat16 readable", FusedOps::off, at::kBFloat16, {}, {}, {}},
                            {"bfloat16 fused", FusedOps::automatic, at::kBFloat16, {}, {}, {}}};
    std::erase_if(forms, [&](const Form& form) { return !std::string_view(form.name).starts_with(options.form); });
    for (int i = 0; i < options.repeats + 2; ++i) {
      for (Form& form : forms) run_once(options, form);
    }
    for (Form& form : forms) {  // the first passes compile and allocate
      form.forward.erase(form.forward.begin(), form.forward.begin() + 2);
      form.backward.erase(form.backward.begin(), form.backward.begin() + 2);
      form.processor.erase(form.processor.begin(), form.processor.begin() + 2);
    }
    print(options, forms);
    return 0;
  });
}
