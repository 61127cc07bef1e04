#include "model_flops.h"

namespace shine::bench {
namespace {

/// Forward and gradient of the input: the weight is frozen.
constexpr double kFrozen = 4.0;
/// Forward, gradient of the input, gradient of the weight.
constexpr double kTrained = 6.0;

/// Multiply-adds of one token in all frozen projections, and in a LoRA of rank 1 on all of them.
struct PerToken {
  double dense = 0.0, rank_one = 0.0;

  explicit PerToken(const LoraSpec& spec) {
    for (const ProjectionSpec& p : spec.projections) {
      dense += static_cast<double>(spec.layers * p.in * p.out);
      rank_one += static_cast<double>(spec.layers * (p.in + p.out));
    }
  }
};

/// Scores and mixing of `pairs` query-key pairs of `width` values: two products forward, four backward.
double attention_flops(double pairs, std::int64_t width) {
  return 12.0 * pairs * static_cast<double>(width);
}

double causal_pairs(const RowLayout& rows, std::int64_t extra_tokens) {
  double pairs = 0.0;
  for (std::int64_t row = 0; row < rows.rows(); ++row) {
    const auto length = static_cast<double>(rows.length(row) + extra_tokens);
    pairs += length * (length + 1) / 2;
  }
  return pairs;
}

double m2p_flops(const M2pConfig& m2p, const M2pShape& shape) {
  const auto layers = static_cast<double>(shape.spec.layers), width = static_cast<double>(shape.hidden_size),
             memory = static_cast<double>(shape.memory_tokens * m2p.mean_pool_size);
  const double weights = 4 * width * width + 2 * width * static_cast<double>(m2p.feedforward);
  double flops = 0.0;
  for (std::int64_t i = 0; i < m2p.num_layers; ++i) {
    const bool across_layers = (i % 2 == 0) == m2p.layers_first;
    const double pairs = layers * memory * (across_layers ? layers : memory);
    flops += kTrained * weights * layers * memory + attention_flops(pairs, shape.hidden_size);
  }
  return flops;
}

}  // namespace

ModelFlops& ModelFlops::operator+=(const ModelFlops& other) {
  backbone += other.backbone;
  lora += other.lora;
  attention += other.attention;
  m2p += other.m2p;
  head += other.head;
  return *this;
}

ModelFlops count_flops(const DecoderConfig& decoder, const HypernetworkConfig& config, const M2pShape& shape,
                       const ModelBatch& batch) {
  const PerToken per_token(shape.spec);
  const std::int64_t memory = shape.memory_tokens * config.m2p.mean_pool_size;
  const auto context_tokens = static_cast<double>(batch.contexts.layout.tokens() + memory * batch.samples());
  const auto conversation_tokens = static_cast<double>(batch.conversations.layout.tokens());
  const auto meta_rank = static_cast<double>(config.meta_lora_rank), rank = static_cast<double>(config.lora_rank);
  const std::int64_t attention_width = decoder.layers * decoder.heads * decoder.head_dim;
  ModelFlops flops;
  flops.backbone = kFrozen * per_token.dense * (context_tokens + conversation_tokens);
  flops.lora = kTrained * per_token.rank_one * (meta_rank * context_tokens + rank * conversation_tokens);
  flops.attention = attention_flops(
      causal_pairs(batch.contexts.layout, memory) + causal_pairs(batch.conversations.layout, 0), attention_width);
  flops.m2p = static_cast<double>(batch.samples()) * m2p_flops(config.m2p, shape);
  flops.head = kFrozen * static_cast<double>(decoder.hidden_size * decoder.vocab_size * batch.labelled.count());
  return flops;
}

}  // namespace shine::bench
