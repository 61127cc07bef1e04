#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "shine/lora/lora_spec.h"

namespace shine {

/// Which matrix of a pair.
enum class Half { a, b };

/// An adapted map of a decoder.
struct MapPlace {
  std::int64_t layer = 0;
  Projection projection = Projection::q;
};

/// "self_attn.q_proj": the module inside a layer, as transformers names it.
std::string_view module_name(Projection projection);

/// "model.layers.3.self_attn.q_proj".
std::string module_path(const MapPlace& place);

/// "blk.3.attn_q.weight", as llama.cpp names it.
std::string gguf_tensor_name(const MapPlace& place);

/// The inverses; nothing for any other name, or a layer written with leading zeros or more than nine digits.
std::optional<MapPlace> parse_module_path(std::string_view path);
std::optional<MapPlace> parse_gguf_tensor_name(std::string_view name);

}  // namespace shine
