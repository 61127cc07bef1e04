#include "bench_size.h"

#include <algorithm>

#include "shine/common/error.h"
#include "shine/common/random.h"

namespace shine::bench {
namespace {

/// "cpu-small" costs about 0.053 GFLOP a token and fits a small CPU; "tiny" only shows that the program works.
const std::vector<BenchSize>& all_sizes() {
  static const std::vector<BenchSize> sizes = [] {
    BenchSize small;
    small.name = "cpu-small";
    DecoderConfig& decoder = small.decoder;
    decoder.model_type = "qwen3";
    decoder.vocab_size = 8192;
    decoder.hidden_size = 256;
    decoder.intermediate_size = 768;
    decoder.layers = 8;
    decoder.heads = 4;
    decoder.kv_heads = 2;
    decoder.head_dim = 64;
    decoder.max_positions = 4096;
    decoder.rope_theta = 1e6;
    decoder.tied_embeddings = true;
    decoder.qk_norm = true;
    small.hypernetwork.lora_rank = 4;
    small.hypernetwork.meta_lora_rank = 32;
    small.shortest = 200;
    small.longest = 512;
    small.accumulation = 4;

    BenchSize tiny = small;
    tiny.name = "tiny";
    tiny.decoder.vocab_size = 512;
    tiny.decoder.hidden_size = 64;
    tiny.decoder.intermediate_size = 128;
    tiny.decoder.layers = 2;
    tiny.decoder.head_dim = 16;
    tiny.hypernetwork.lora_rank = 2;
    tiny.hypernetwork.meta_lora_rank = 8;
    tiny.shortest = 16;
    tiny.longest = 64;
    tiny.accumulation = 2;
    return std::vector<BenchSize>{small, tiny};
  }();
  return sizes;
}

std::vector<std::int64_t> draw_ids(Random& random, const BenchSize& size) {
  const auto length = size.shortest + static_cast<std::int64_t>(
                                          random.below(static_cast<std::uint64_t>(size.longest - size.shortest + 1)));
  std::vector<std::int64_t> ids(static_cast<std::size_t>(length));
  for (std::int64_t& id : ids) {
    id = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(size.decoder.vocab_size)));
  }
  return ids;
}

Sample draw_sample(Random& random, const BenchSize& size) {
  constexpr std::int64_t ignored_label = -100;
  Sample sample;
  sample.context_ids = draw_ids(random, size);
  sample.conversation_ids = draw_ids(random, size);
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
