#include "bench/decode_floor.h"

namespace shine::bench {

double bytes_per_step(const DecoderConfig& config, const DecodeStep& step) {
  const LoraSpec spec = config.lora_spec();
  std::int64_t weights = config.vocab_size * config.hidden_size;  // the head
  for (const ProjectionSpec& projection : spec.projections) weights += spec.layers * projection.in * projection.out;
  const std::int64_t keys_and_values = 2 * config.layers * config.kv_heads * config.head_dim * step.tokens;
  const std::int64_t lora = step.lora_rank > 0 ? spec.layers * spec.numel_per_layer(step.lora_rank) : 0;
  return static_cast<double>((weights + step.rows * (keys_and_values + lora)) * step.element_size);
}

}  // namespace shine::bench
