#pragma once

#include "decoder/tiny_model.h"

namespace shine::test {

/// Norms behind attention and MLP, q/k norms across heads, a layer that is not rotated, scaled frequencies.
inline DecoderConfig tiny_readable_config() {
  DecoderConfig config = tiny_config();
  config.model_type = "olmo2";
  config.qk_norm = false;
  config.qk_norm_across_heads = config.post_norm = config.qkv_bias = true;
  config.unrotated_layers = {1};
  config.rope_scaling = {RopeScaling::Kind::llama3, 8.0, 1.0, 4.0, 128};
  return config;
}

/// A parameter of tests, and its name.
struct TinyKind {
  const char* name;
  DecoderConfig (*config)();
};
inline constexpr TinyKind kTinyKinds[] = {
    {"Qwen3", &tiny_config}, {"LlamaWithBiases", &tiny_biased_config}, {"WithoutFusedForm", &tiny_readable_config}};

}  // namespace shine::test
