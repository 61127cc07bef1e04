// Measures decoding with a key/value cache: tokens per second of greedy generation behind random prompts.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "bench/bench_size.h"
#include "bench/decode_floor.h"
#include "bench/machine.h"
#include "bench/median.h"
#include "bench/op_profile.h"
#include "bench/random_weights.h"
#include "bench/step_trace.h"
#include "command_line.h"
#include "common/random.h"
#include "enum_option.h"
#include "io/files/text_file.h"
#include "io/json/json_file.h"
#include "ops/kernel_checks.h"
#include "shine/eval/generation.h"
#include "shine/tensor/device.h"
#include "tensor/peak_memory.h"

namespace {

using namespace shine;
using namespace shine::bench;
using Json = nlohmann::ordered_json;
using Rows = GenerationSession::Rows;

struct Options {
  std::string model, size, device = "cpu", dtype = "float32", json_file, trace_file;
  std::vector<std::int64_t> batches{1, 8};
  std::int64_t prompt_tokens = 64, new_tokens = 64, lora_rank = 0;
  int threads = 0, repeats = 5, ops = 0;
  std::uint64_t seed = 1;
  bool no_cache = false, serve = false;
  CudaGraph cuda_graph = CudaGraph::automatic;
};

DecoderOptions decoder_options(const Options& options) {
  const at::Device device = open_device(options.device);
  return {.dtype = options.dtype == "bfloat16" ? at::kBFloat16 : at::kFloat,
          .device = device,
          .attention = best_layout(device)};
}

/// One LoRA per row, A and B of a size that changes the tokens.
LoraTree random_loras(const Decoder& decoder, std::int64_t rows, std::int64_t rank, std::uint64_t seed) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  const LoraSpec spec = decoder.config().lora_spec();
  const auto draw = [&](std::int64_t height, std::int64_t width) {
    return at::empty({rows, height, width}, at::kFloat).normal_(0.0, 0.03, generator).to(decoder.device());
  };
  LoraTree tree;
  tree.layers.resize(static_cast<std::size_t>(spec.layers));
  for (LoraLayer& layer : tree.layers) {
    for (const Projection p : kProjections) {
      layer[p].a = draw(spec[p].in, rank);
      layer[p].b = draw(rank, spec[p].out);
    }
  }
  return tree;
}

/// The same for the same `number`; those of different ones have no common beginning.
Rows random_prompts(const Options& options, std::int64_t vocabulary, std::int64_t rows, std::uint64_t number = 0) {
  Random random = Random::stream(options.seed, {number});
  const auto ids = static_cast<std::uint64_t>(vocabulary);
  Rows prompts(static_cast<std::size_t>(rows));
  for (auto& prompt : prompts) {
    prompt.push_back(static_cast<std::int64_t>(number % ids));
    for (std::int64_t i = 1; i < options.prompt_tokens; ++i) {
      prompt.push_back(static_cast<std::int64_t>(random.below(ids)));
    }
  }
  return prompts;
}

struct Run {
  double seconds = 0.0;
  double processor_seconds = 0.0;  ///< of all threads
  Rows ids;
};

DecoderConfig subject_config(const Options& options) {
  if (!options.size.empty()) return find_size(options.size).decoder;
  return read_decoder_config(std::filesystem::path(options.model) / "config.json");
}

class Subject {
 public:
  explicit Subject(const Options& options)
      : options_(options), decoder_(subject_config(options), decoder_options(options)) {
    avoid_cudnn_attention();
    if (options.size.empty()) {
      load_decoder(decoder_, options.model);
    } else {
      draw_on_device(decoder_, /*gain=*/0.7, options.seed);
    }
    const at::Device device = decoder_.device();
    copy_rate_ = options.serve ? 0.0 : measure_copy_rate(device);
    if (!options.serve && PeakMemory::can_measure(device)) memory_.emplace(device);
  }

  const DecoderConfig& config() const { return decoder_.config(); }
  at::Device device() const { return decoder_.device(); }
  double copy_rate() const { return copy_rate_; }
  /// Above the loaded model; none where the system does not tell.
  std::optional<std::size_t> peak_bytes() const {
    return memory_ ? std::optional(memory_->bytes_above_start()) : std::nullopt;
  }

  /// Tokens/s that reading weights, keys, values and LoRAs allows, half of the new tokens written.
  double floor(std::int64_t rows) const {
    const DecodeStep step{rows, options_.prompt_tokens + options_.new_tokens / 2, options_.lora_rank,
                          static_cast<std::int64_t>(c10::elementSize(decoder_.dtype()))};
    return static_cast<double>(rows) * copy_rate_ / bytes_per_step(config(), step);
  }

  GenerationSession make_session(std::int64_t rows, std::int64_t lora_rank) {
    if (lora_rank > 0 && (lora_.rank() != lora_rank || lora_.adapters() != rows)) {
      lora_ = random_loras(decoder_, rows, lora_rank, options_.seed);
    }
    return {decoder_, lora_rank > 0 ? &lora_ : nullptr, rows};
  }

  /// The full cost to a caller: a new session, the prompts, `new_tokens` tokens for each.
  Run generate(const Rows& prompts, std::int64_t new_tokens, std::int64_t lora_rank) {
    return timed(new_tokens, [&](const GenerationOptions& generation) {
      return make_session(static_cast<std::int64_t>(prompts.size()), lora_rank).generate(prompts, generation);
    });
  }

  /// The same in an existing session.
  Run generate(GenerationSession& session, const Rows& prompts, std::int64_t new_tokens) {
    return timed(new_tokens,
                 [&](const GenerationOptions& generation) { return session.generate(prompts, generation); });
  }

 private:
  template <class Generate>
  Run timed(std::int64_t new_tokens, const Generate& generate) const {
    GenerationOptions generation;
    generation.decoding.max_new_tokens = new_tokens;
    generation.decoding.cache = !options_.no_cache;
    generation.decoding.cuda_graph = options_.cuda_graph;
    const at::Device device = decoder_.device();
    Run run;
    const std::clock_t ticks = std::clock();
    const double start = now(device);
    const std::vector<GeneratedText> texts = generate(generation);
    run.seconds = now(device) - start;
    run.processor_seconds = static_cast<double>(std::clock() - ticks) / CLOCKS_PER_SEC;
    for (const GeneratedText& text : texts) run.ids.push_back(text.ids);
    return run;
  }

  const Options& options_;
  Decoder decoder_;
  LoraTree lora_;
  double copy_rate_ = 0.0;  ///< bytes/s
  std::optional<PeakMemory> memory_;
};

/// One session, so that a CUDA graph is captured before the clock starts; always with prompts that it has not seen.
Json measure(const Options& options, Subject& subject, std::int64_t rows) {
  GenerationSession session = subject.make_session(rows, options.lora_rank);
  std::uint64_t number = 0;
  const auto seconds = [&](std::int64_t new_tokens) {
    const Rows prompts = random_prompts(options, subject.config().vocab_size, rows, number++);
    return subject.generate(session, prompts, new_tokens).seconds;
  };
  seconds(options.new_tokens);
  std::vector<double> first, all;
  for (int i = 0; i < options.repeats; ++i) {
    first.push_back(seconds(1));
    all.push_back(seconds(options.new_tokens));
  }
  const double prompt_seconds = median(first), total = median(all);
  const auto tokens = static_cast<double>(rows * options.new_tokens);
  const double decode = (tokens - static_cast<double>(rows)) / std::max(1e-9, total - prompt_seconds);
  const double floor = subject.floor(rows);
  std::printf(
      "batch %3lld: prompts %8.4f s, %lld tokens each in %8.4f s, %8.1f tokens/s in all, %8.1f behind the first, "
      "%.0f %% of the floor of %.1f\n",
      static_cast<long long>(rows), prompt_seconds, static_cast<long long>(options.new_tokens), total, tokens / total,
      decode, 100 * decode / floor, floor);
  return {{"batch", rows},
          {"prompt_seconds", prompt_seconds},
          {"seconds", total},
          {"tokens_per_second", tokens / total},
          {"decode_tokens_per_second", decode},
          {"floor_tokens_per_second", floor},
          {"floor_share", decode / floor}};
}

void print_operations(const Options& options, Subject& subject, std::int64_t rows) {
  const Rows prompts = random_prompts(options, subject.config().vocab_size, rows);
  const OpProfile profile;
  subject.generate(prompts, options.new_tokens, options.lora_rank);
  const std::vector<OpCost> costs = profile.costs();
  std::printf("operations, batch %lld:\n", static_cast<long long>(rows));
  for (std::size_t i = 0; i < costs.size() && i < static_cast<std::size_t>(options.ops); ++i) {
    std::printf("  %-44s %9.2f ms %8lld calls\n", costs[i].name.c_str(), 1e3 * costs[i].self_seconds,
                static_cast<long long>(costs[i].calls));
  }
}

/// In a session that has answered once, so that a CUDA graph exists.
void trace_generation(const Options& options, Subject& subject, std::int64_t rows) {
  GenerationSession session = subject.make_session(rows, options.lora_rank);
  const auto prompts = [&](std::uint64_t number) {
    return random_prompts(options, subject.config().vocab_size, rows, number);
  };
  subject.generate(session, prompts(0), options.new_tokens);
  StepTrace trace(subject.device());
  subject.generate(session, prompts(1), options.new_tokens);
  trace.save(options.trace_file);
}

void run_benchmark(const Options& options) {
  SHINE_CHECK(options.new_tokens > 1, ConfigError, "--new-tokens: at least 2 are needed to tell prompts from decoding");
  Subject subject(options);
  std::printf("%s, %s on %s, %d threads, CUDA graph %s; copies at %.1f GB/s\n", (options.model + options.size).c_str(),
              options.dtype.c_str(), options.device.c_str(), at::get_num_threads(),
              std::string(enum_name(options.cuda_graph)).c_str(), 1e-9 * subject.copy_rate());
  Json report{{"model", options.model},
              {"size", options.size},
              {"device", options.device},
              {"copy_bytes_per_second", subject.copy_rate()},
              {"dtype", options.dtype},
              {"threads", at::get_num_threads()},
              {"prompt_tokens", options.prompt_tokens},
              {"new_tokens", options.new_tokens},
              {"lora_rank", options.lora_rank},
              {"cache", !options.no_cache},
              {"cuda_graph", enum_name(options.cuda_graph)},
              {"tokens_per_second", nullptr},
              {"peak_memory_bytes", nullptr},
              {"load_average", load_average()},
              {"runs", Json::array()}};
  for (const std::int64_t rows : options.batches) {
    report["runs"].push_back(measure(options, subject, rows));
    if (options.ops > 0) print_operations(options, subject, rows);
  }
  report["tokens_per_second"] = report["runs"].front()["tokens_per_second"];
  if (const auto peak = subject.peak_bytes()) report["peak_memory_bytes"] = *peak;
  if (!options.trace_file.empty()) trace_generation(options, subject, options.batches.front());
  if (!options.json_file.empty()) write_file_atomically(options.json_file, report.dump(2) + "\n");
}

/// One JSON line in, one line out, for scripts/bench_decode.py.
void serve(const Options& options) {
  Subject subject(options);
  for (std::string line; std::getline(std::cin, line);) {
    const auto asked = parse_json(line, "standard input");
    const Run run = subject.generate(asked.at("prompts").get<Rows>(), asked.at("new_tokens").get<std::int64_t>(),
                                     asked.at("lora_rank").get<std::int64_t>());
    std::cout << Json{{"seconds", run.seconds}, {"processor_seconds", run.processor_seconds}, {"ids", run.ids}}.dump()
              << std::endl;
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Measures greedy decoding behind random prompts with a key/value cache."};
  Options options;
  auto* subject = app.add_option_group("subject", "One of")->require_option(1);
  subject->add_option("--model", options.model, "Hugging Face model directory");
  subject->add_option("--size", options.size, str("random weights: ", join(size_names(), ", ")));
  app.add_option("--batch", options.batches, "rows decoded together; several figures for several numbers")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--prompt-tokens", options.prompt_tokens, "tokens of a prompt")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--new-tokens", options.new_tokens, "tokens written behind it")->capture_default_str();
  app.add_option("--lora-rank", options.lora_rank, "rank of a random LoRA for each row; 0 = none")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--dtype", options.dtype, "dtype of the weights")
      ->check(CLI::IsMember({"float32", "bfloat16"}))
      ->capture_default_str();
  app.add_option("--device", options.device, "auto, cpu, cuda or cuda:N")->capture_default_str();
  add_fused_option(app);
  add_cuda_graph_option(app, "--cuda-graph", options.cuda_graph, "as evaluation.decoding.cuda_graph");
  app.add_option("--threads", options.threads, "CPU threads; 0 = as the system gives");
  app.add_option("--repeats", options.repeats, "measurements; the median counts")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--ops", options.ops, "operations listed; 0 = no profile")->check(CLI::Range(0, 1000));
  app.add_option("--seed", options.seed, "of prompts and LoRAs")->capture_default_str();
  app.add_option("--trace", options.trace_file, "write a Chrome trace of one more generation to this file");
  app.add_option("--json", options.json_file, "also write the figures to this file");
  app.add_flag("--no-cache", options.no_cache, "compute every token's keys and values anew");
  app.add_flag("--serve", options.serve, "answer the commands of scripts/bench_decode.py");
  app.footer("Example: bench_decode --size 0.6b --dtype bfloat16 --batch 1 8");
  return run_command_line("bench_decode", app, argc, argv, [&] {
    set_threads(options.threads);
    if (options.serve) {
      serve(options);
    } else {
      run_benchmark(options);
    }
    return 0;
  });
}
