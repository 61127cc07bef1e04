#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shine/common/api.h"
#include "shine/lora/lora_spec.h"
#include "shine/tensor/rope_scaling.h"

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
  std::int64_t max_positions = 0;   ///< 0: no limit; within sliding_window, where there is one
  std::int64_t sliding_window = 0;  ///< 0: none. Longer rows, in which it would take effect, are refused
  double rms_norm_eps = 1e-6;
  double rope_theta = 10000.0;
  RopeScaling rope_scaling;
  std::vector<std::int64_t> unrotated_layers;  ///< in which q and k are not rotated
  bool tied_embeddings = false;
  bool qkv_bias = false;              ///< q, k and v have biases
  bool o_bias = false;                ///< o has a bias
  bool mlp_bias = false;              ///< gate, up and down have biases
  bool qk_norm = false;               ///< RMSNorm over head_dim on q and k before the rotation
  bool qk_norm_across_heads = false;  ///< instead: over all heads of q together, and of k
  bool post_norm = false;             ///< norms behind attention and MLP, not before them

  bool operator==(const DecoderConfig&) const = default;

  /// Whether q and k of a layer are rotated.
  bool rotates(std::int64_t layer) const;

  /// Throws ShapeError for a row in which the sliding window would take effect.
  void check_row(std::int64_t tokens) const;

  /// The sizes of the seven projections, and which of them carry a bias (and so a LoRA term C).
  LoraSpec lora_spec() const;
};

/// Which key of config.json switches sliding windows on.
enum class WindowSwitch { never, use_sliding_window, sliding_window };

/// Which of q, k, v and o have biases.
enum class AttentionBias {
  none,
  by_key,  ///< all four, where config.json says `attention_bias`
  qkv,
};

/// What model_type implies beside the sizes: all that distinguishes one family of decoders with rotary grouped-query
/// attention and SwiGLU from another. Fields of the same name are explained in DecoderConfig.
struct DecoderFamily {
  std::string_view model_type;
  AttentionBias attention_bias = AttentionBias::by_key;
  bool mlp_bias = false;  ///< config.json may set `mlp_bias`
  bool qk_norm = false;
  bool qk_norm_across_heads = false;
  bool post_norm = false;
  bool rotary_by_layer = false;  ///< by `no_rope_layers` or `no_rope_layer_interval`
  WindowSwitch window = WindowSwitch::never;
  /// Where config.json is silent:
  std::int64_t head_dim = 0;  ///< 0: hidden_size / heads
  double rms_norm_eps = 1e-6;
  double rope_theta = 10000.0;
  bool tied_embeddings = false;
};

/// The families whose numbers are tested against transformers.
SHINE_API std::span<const DecoderFamily> decoder_families();

/// Reads config.json. A sliding window in use becomes a limit of positions. Throws UnsupportedError for a model of
/// another kind (a mixture of experts, multimodal, quantised), a model_type of none of the families and every key that
/// would change the result and is not implemented (other rope scalings, another activation), FormatError for missing
/// or wrong values, IoError for a missing file.
SHINE_API DecoderConfig read_decoder_config(const std::filesystem::path& file,
                                            std::span<const DecoderFamily> families = decoder_families());

}  // namespace shine
