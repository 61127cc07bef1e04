#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "shine/common/api.h"
#include "shine/lora/lora_spec.h"

namespace shine {

/// A dense decoder's sizes and capabilities, read from a Hugging Face config.json.
/// A capability added here must default to off: the fused layers then stand aside for it (fused_layers_know).
struct SHINE_API DecoderConfig {
  std::string model_type;  ///< "qwen3", ..; its DecoderFamily is written out in the capabilities below
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

  bool operator==(const DecoderConfig&) const = default;

  /// The sizes of the seven projections, and which of them carry a bias (and so a LoRA term C).
  LoraSpec lora_spec() const;
};

/// Which key of config.json switches sliding windows on, which no family here implements.
enum class WindowSwitch { never, use_sliding_window, sliding_window };

/// What model_type implies beside the sizes: all that distinguishes one family of pre-norm decoders with rotary
/// grouped-query attention and SwiGLU from another.
struct DecoderFamily {
  std::string_view model_type;
  bool qk_norm = false;       ///< RMSNorm over head_dim on q and k
  bool mlp_bias = false;      ///< config.json may set `mlp_bias`
  std::int64_t head_dim = 0;  ///< where config.json has none; 0: hidden_size / heads
  WindowSwitch window = WindowSwitch::never;
};

/// The families whose numbers are tested against transformers.
SHINE_API std::span<const DecoderFamily> decoder_families();

/// Reads config.json. Throws UnsupportedError for a model_type of none of the families and for every key that would
/// change the result and is not implemented (rope scaling, sliding windows in use, quantised weights, another
/// activation), FormatError for missing or wrong values, IoError for a missing file.
SHINE_API DecoderConfig read_decoder_config(const std::filesystem::path& file,
                                            std::span<const DecoderFamily> families = decoder_families());

}  // namespace shine
