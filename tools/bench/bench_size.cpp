#include "bench/bench_size.h"

#include <algorithm>

#include "common/random.h"
#include "shine/common/error.h"

namespace shine::bench {
namespace {

DecoderConfig qwen3(std::int64_t hidden, std::int64_t layers, std::int64_t intermediate, std::int64_t heads,
                    std::int64_t kv_heads) {
  DecoderConfig decoder;
  decoder.model_type = "qwen3";
  decoder.hidden_size = hidden;
  decoder.layers = layers;
  decoder.intermediate_size = intermediate;
  decoder.heads = heads;
  decoder.kv_heads = kv_heads;
  decoder.head_dim = 128;
  decoder.vocab_size = 151936;
  decoder.max_positions = 40960;
  decoder.rope_theta = 1e6;
  decoder.tied_embeddings = true;
  decoder.qk_norm = true;
  return decoder;
}

/// A published size as the paper pretrains it: one sample of the longest context and conversation.
BenchSize published(const std::string& name, const DecoderConfig& decoder) {
  BenchSize size;
  size.name = name;
  size.decoder = decoder;
  size.contexts = {1141, 1141};
  size.conversations = {1150, 1150};
  size.weights_on_device = true;
  return size;
}

BenchSize small(const std::string& name, const DecoderConfig& decoder, LengthRange lengths) {
  BenchSize size;
  size.name = name;
  size.decoder = decoder;
  size.contexts = size.conversations = lengths;
  return size;
}

/// "cpu-small" costs about 0.053 GFLOP per token and fits a small CPU; "tiny" only shows that the program works.
std::vector<BenchSize> make_sizes() {
  DecoderConfig cpu_small = qwen3(256, 8, 768, 4, 2);
  cpu_small.head_dim = 64;
  cpu_small.vocab_size = 8192;
  DecoderConfig tiny = qwen3(64, 2, 128, 4, 2);
  tiny.head_dim = 16;
  tiny.vocab_size = 512;
  DecoderConfig largest = qwen3(4096, 36, 12288, 32, 8);
  largest.tied_embeddings = false;
  std::vector<BenchSize> sizes{small("cpu-small", cpu_small, {200, 512}), small("tiny", tiny, {16, 64}),
                               published("0.6b", qwen3(1024, 28, 3072, 16, 8)),
                               published("1.7b", qwen3(2048, 28, 6144, 16, 8)), published("8b", largest)};
  sizes[0].hypernetwork.lora_rank = 4;
  sizes[0].hypernetwork.meta_lora_rank = 32;
  sizes[0].accumulation = 4;
  sizes[1].hypernetwork.lora_rank = 2;
  sizes[1].hypernetwork.meta_lora_rank = 8;
  sizes[1].accumulation = 2;
  return sizes;
}

const std::vector<BenchSize>& all_sizes() {
  static const std::vector<BenchSize> sizes = make_sizes();
  return sizes;
}

std::vector<std::int64_t> draw_ids(Random& random, LengthRange range, std::int64_t vocabulary) {
  const auto length =
      range.shortest +
      static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(range.longest - range.shortest + 1)));
  std::vector<std::int64_t> ids(static_cast<std::size_t>(length));
  for (std::int64_t& id : ids) id = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(vocabulary)));
  return ids;
}

Sample draw_sample(Random& random, const BenchSize& size) {
  constexpr std::int64_t ignored_label = -100;
  Sample sample;
  sample.context_ids = draw_ids(random, size.contexts, size.decoder.vocab_size);
  sample.conversation_ids = draw_ids(random, size.conversations, size.decoder.vocab_size);
  sample.labels = sample.conversation_ids;
  std::fill_n(sample.labels.begin(), sample.labels.size() / 4, ignored_label);
  return sample;
}

}  // namespace

std::vector<std::string> size_names() {
  std::vector<std::string> names;
  for (const BenchSize& size : all_sizes()) names.push_back(size.name);
  return names;
}

BenchSize find_size(const std::string& name) {
  for (const BenchSize& size : all_sizes()) {
    if (size.name == name) return size;
  }
  throw ConfigError(str("unknown size '", name, "'"), "--size", str("use one of ", join(size_names(), ", ")));
}

std::vector<std::vector<std::int64_t>> draw_contexts(const BenchSize& size, std::uint64_t seed, std::int64_t rows) {
  Random random(seed);
  std::vector<std::vector<std::int64_t>> contexts;
  for (std::int64_t i = 0; i < rows; ++i) {
    contexts.push_back(draw_ids(random, size.contexts, size.decoder.vocab_size));
  }
  return contexts;
}

std::vector<ModelBatch> draw_batches(const BenchSize& size, std::uint64_t seed, std::uint64_t step, at::Device device) {
  Random random = Random::stream(seed, {step});
  std::vector<ModelBatch> batches;
  for (std::int64_t i = 0; i < size.accumulation; ++i) {
    std::vector<Sample> samples;
    for (std::int64_t j = 0; j < size.batch; ++j) samples.push_back(draw_sample(random, size));
    batches.push_back(make_model_batch(samples, device));
  }
  return batches;
}

}  // namespace shine::bench
