// Measures decoding with a key/value cache: tokens per second of greedy generation behind random prompts.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <nlohmann/json.hpp>

#include "../command_line.h"
#include "machine.h"
#include "op_profile.h"
#include "shine/common/random.h"
#include "shine/eval/generation.h"
#include "shine/io/json_file.h"
#include "shine/io/text_file.h"
#include "shine/tensor/device.h"

namespace {

using namespace shine;
using namespace shine::bench;
using Json = nlohmann::ordered_json;
using Rows = GenerationSession::Rows;

struct Options {
  std::string model, device = "cpu", dtype = "float32", json_file;
  std::vector<std::int64_t> batches{1, 8};
  std::int64_t prompt_tokens = 64, new_tokens = 64, lora_rank = 0;
  int threads = 0, repeats = 5, ops = 0;
  std::uint64_t seed = 1;
  bool no_cache = false, serve = false;
};

DecoderOptions decoder_options(const Options& options) {
  const at::Device device = parse_device(options.device);
  return {.dtype = options.dtype == "bfloat16" ? at::kBFloat16 : at::kFloat,
          .device = device,
          .attention = device.is_cpu() ? AttentionLayout::per_row : AttentionLayout::padded};
}

/// One LoRA a row, A and B of a size that changes the tokens.
LoraTree random_loras(const Decoder& decoder, std::int64_t rows, std::int64_t rank, std::uint64_t seed) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  const LoraSpec spec = decoder.config().lora_spec();
  const auto draw = [&](std::int64_t height, std::int64_t width) {
    return at::empty({rows, height, width}, at::kFloat).normal_(0.0, 0.03, generator).to(decoder.options().device);
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

Rows random_prompts(const Options& options, std::int64_t vocabulary, std::int64_t rows) {
  Random random(options.seed);
  Rows prompts(static_cast<std::size_t>(rows));
  for (auto& prompt : prompts) {
    for (std::int64_t i = 0; i < options.prompt_tokens; ++i) {
      prompt.push_back(static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(vocabulary))));
    }
  }
  return prompts;
}

struct Run {
  double seconds = 0.0;
  double processor_seconds = 0.0;  ///< of all threads
  Rows ids;
};

class Subject {
 public:
  explicit Subject(const Options& options)
      : options_(options),
        decoder_(read_decoder_config(std::filesystem::path(options.model) / "config.json"), decoder_options(options)) {
    load_decoder(decoder_, options.model);
  }

  const DecoderConfig& config() const { return decoder_.config(); }

  /// Everything a caller pays: a new session, the prompts, `new_tokens` tokens for each.
  Run generate(const Rows& prompts, std::int64_t new_tokens, std::int64_t lora_rank) {
    const auto rows = static_cast<std::int64_t>(prompts.size());
    if (lora_rank > 0 && (lora_.rank() != lora_rank || lora_.adapters() != rows)) {
      lora_ = random_loras(decoder_, rows, lora_rank, options_.seed);
    }
    GenerationOptions generation;
    generation.decoding.max_new_tokens = new_tokens;
    generation.decoding.cache = !options_.no_cache;
    const at::Device device = decoder_.options().device;
    Run run;
    const std::clock_t ticks = std::clock();
    const double start = now(device);
    GenerationSession session(decoder_, lora_rank > 0 ? &lora_ : nullptr, rows);
    const auto texts = session.generate(prompts, generation);
    run.seconds = now(device) - start;
    run.processor_seconds = static_cast<double>(std::clock() - ticks) / CLOCKS_PER_SEC;
    for (const GeneratedText& text : texts) run.ids.push_back(text.ids);
    return run;
  }

 private:
  const Options& options_;
  Decoder decoder_;
  LoraTree lora_;
};

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

Json measure(const Options& options, Subject& subject, std::int64_t rows) {
  const Rows prompts = random_prompts(options, subject.config().vocab_size, rows);
  const auto seconds = [&](std::int64_t new_tokens) {
    return subject.generate(prompts, new_tokens, options.lora_rank).seconds;
  };
  seconds(2);
  std::vector<double> first, all;
  for (int i = 0; i < options.repeats; ++i) {
    first.push_back(seconds(1));
    all.push_back(seconds(options.new_tokens));
  }
  const double prompt_seconds = median(first), total = median(all);
  const auto tokens = static_cast<double>(rows * options.new_tokens);
  const double decode = (tokens - static_cast<double>(rows)) / std::max(1e-9, total - prompt_seconds);
  std::printf(
      "batch %3lld: prompts %8.4f s, %lld tokens each in %8.4f s, %8.1f tokens/s in all, %8.1f behind the first\n",
      static_cast<long long>(rows), prompt_seconds, static_cast<long long>(options.new_tokens), total, tokens / total,
      decode);
  return {{"batch", rows},
          {"prompt_seconds", prompt_seconds},
          {"seconds", total},
          {"tokens_per_second", tokens / total},
          {"decode_tokens_per_second", decode}};
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

void run_benchmark(const Options& options) {
  SHINE_CHECK(options.new_tokens > 1, ConfigError, "--new-tokens: at least 2 are needed to tell prompts from decoding");
  Subject subject(options);
  Json report{{"model", options.model},
              {"dtype", options.dtype},
              {"threads", at::get_num_threads()},
              {"prompt_tokens", options.prompt_tokens},
              {"new_tokens", options.new_tokens},
              {"lora_rank", options.lora_rank},
              {"cache", !options.no_cache},
              {"load_average", load_average()},
              {"runs", Json::array()}};
  for (const std::int64_t rows : options.batches) {
    report["runs"].push_back(measure(options, subject, rows));
    if (options.ops > 0) print_operations(options, subject, rows);
  }
  if (!options.json_file.empty()) write_file_atomically(options.json_file, report.dump(2) + "\n");
}

/// One JSON line in, one out, for scripts/bench_decode.py.
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
  CLI::App app{"Measures greedy decoding of a Hugging Face model behind random prompts, with a key/value cache."};
  Options options;
  app.add_option("--model", options.model, "Hugging Face model directory")->required();
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
  app.add_option("--threads", options.threads, "CPU threads; 0 = as the system gives");
  app.add_option("--repeats", options.repeats, "measurements; the median counts")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--ops", options.ops, "operations listed; 0 = no profile")->check(CLI::Range(0, 1000));
  app.add_option("--seed", options.seed, "of prompts and LoRAs")->capture_default_str();
  app.add_option("--json", options.json_file, "also write the figures to this file");
  app.add_flag("--no-cache", options.no_cache, "compute every token's keys and values anew");
  app.add_flag("--serve", options.serve, "answer the commands of scripts/bench_decode.py");
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
