#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "shine/lora/lora_spec.h"

namespace shine {

/// A dense decoder's sizes and capabilities, read from a Hugging Face config.json (SPEC section 2).
struct DecoderConfig {
  std::string model_type;  ///< "qwen3" or "llama"
  std::int64_t vocab_size = 0;
  std::int64_t hidden_size = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t max_positions = 0;
  double rms_norm_eps = 1e-6;
  double rope_theta = 10000.0;
  bool tied_embeddings = false;
  bool attention_bias = false;  ///< q, k, v and o have biases
  bool mlp_bias = false;        ///< gate, up and down have biases
  bool qk_norm = false;         ///< RMSNorm over head_dim on q and k before the rotation

  /// The sizes of the seven projections, and which of them carry a bias (and so a LoRA term C).
  LoraSpec lora_spec() const;
};

/// Reads config.json. Throws UnsupportedError for another model family and for every key that would change the result
/// and is not implemented (rope scaling, sliding windows in use, quantised weights, another activation), FormatError
/// for missing or wrong values, IoError for a missing file.
DecoderConfig read_decoder_config(const std::filesystem::path& file);

}  // namespace shine
