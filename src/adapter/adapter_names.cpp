#include "adapter/adapter_names.h"

#include <array>
#include <charconv>

#include "shine/common/str.h"

namespace shine {
namespace {

constexpr std::array<std::string_view, 7> kHuggingFaceNames{"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                                                            "self_attn.o_proj", "mlp.gate_proj",    "mlp.up_proj",
                                                            "mlp.down_proj"};
constexpr std::array<std::string_view, 7> kGgufNames{"attn_q",   "attn_k", "attn_v",  "attn_output",
                                                     "ffn_gate", "ffn_up", "ffn_down"};

std::optional<AdaptedMap> find_map(std::string_view name, const std::array<std::string_view, 7>& names) {
  const std::size_t dot = name.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const auto layer = layer_number(name.substr(0, dot));
  if (!layer) return std::nullopt;
  for (const Projection projection : kProjections) {
    if (name.substr(dot + 1) == names[static_cast<std::size_t>(projection)]) return AdaptedMap{*layer, projection};
  }
  return std::nullopt;
}

}  // namespace

std::string_view hugging_face_name(Projection projection) {
  return kHuggingFaceNames[static_cast<std::size_t>(projection)];
}

std::string module_name(std::size_t layer, Projection projection) {
  return str("model.layers.", layer, ".", hugging_face_name(projection));
}

std::string_view gguf_name(Projection projection) {
  return kGgufNames[static_cast<std::size_t>(projection)];
}

std::optional<std::size_t> layer_number(std::string_view digits) {
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  const bool whole = error == std::errc() && end == digits.data() + digits.size();
  if (!whole || (digits.size() > 1 && digits[0] == '0')) return std::nullopt;
  return number;
}

std::optional<AdaptedMap> hugging_face_map(std::string_view name) {
  return find_map(name, kHuggingFaceNames);
}

std::optional<AdaptedMap> gguf_map(std::string_view name) {
  return find_map(name, kGgufNames);
}

}  // namespace shine
