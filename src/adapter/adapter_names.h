#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "shine/lora/lora_spec.h"

namespace shine {

/// A linear map of the decoder.
struct AdaptedMap {
  std::size_t layer = 0;
  Projection projection = Projection::q;
};

/// "self_attn.q_proj", .., "mlp.down_proj": Hugging Face's name within a layer.
std::string_view hugging_face_name(Projection projection);

/// "model.layers.3.self_attn.q_proj": what PEFT's patterns are matched against.
std::string module_name(std::size_t layer, Projection projection);

/// "attn_q", .., "ffn_down": llama.cpp's name within a layer.
std::string_view gguf_name(Projection projection);

/// The number that the digits are, without sign or leading zeros.
std::optional<std::size_t> layer_number(std::string_view digits);

/// The map of "3.self_attn.q_proj" or of "3.attn_q".
std::optional<AdaptedMap> hugging_face_map(std::string_view name);
std::optional<AdaptedMap> gguf_map(std::string_view name);

}  // namespace shine
