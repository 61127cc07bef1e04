#include "adapter/adapter_names.h"

#include <array>
#include <charconv>

#include "shine/common/str.h"

namespace shine {
namespace {

constexpr std::array<std::string_view, 7> kModules{"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                                                   "self_attn.o_proj", "mlp.gate_proj",    "mlp.up_proj",
                                                   "mlp.down_proj"};
constexpr std::array<std::string_view, 7> kGgufTensors{"attn_q",   "attn_k", "attn_v",  "attn_output",
                                                       "ffn_gate", "ffn_up", "ffn_down"};
constexpr std::string_view kModulePrefix = "model.layers.", kGgufPrefix = "blk.", kGgufSuffix = ".weight";

std::size_t index(Projection projection) {
  return static_cast<std::size_t>(projection);
}

/// "3.NAME", where NAME is one of `names`.
std::optional<MapPlace> parse_place(std::string_view text, const std::array<std::string_view, 7>& names) {
  constexpr std::size_t most_digits = 9;
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  if (digits == 0 || digits > most_digits || (digits > 1 && text[0] == '0')) return std::nullopt;
  MapPlace place;
  std::from_chars(text.data(), text.data() + digits, place.layer);
  text.remove_prefix(digits);
  if (!text.starts_with('.')) return std::nullopt;
  text.remove_prefix(1);
  for (const Projection projection : kProjections) {
    if (text != names[index(projection)]) continue;
    place.projection = projection;
    return place;
  }
  return std::nullopt;
}

}  // namespace

std::string_view module_name(Projection projection) {
  return kModules[index(projection)];
}

std::string module_path(const MapPlace& place) {
  return str(kModulePrefix, place.layer, ".", module_name(place.projection));
}

std::string gguf_tensor_name(const MapPlace& place) {
  return str(kGgufPrefix, place.layer, ".", kGgufTensors[index(place.projection)], kGgufSuffix);
}

std::optional<MapPlace> parse_module_path(std::string_view path) {
  if (!path.starts_with(kModulePrefix)) return std::nullopt;
  return parse_place(path.substr(kModulePrefix.size()), kModules);
}

std::optional<MapPlace> parse_gguf_tensor_name(std::string_view name) {
  if (!name.starts_with(kGgufPrefix) || !name.ends_with(kGgufSuffix)) return std::nullopt;
  name.remove_prefix(kGgufPrefix.size());
  if (name.size() < kGgufSuffix.size()) return std::nullopt;
  name.remove_suffix(kGgufSuffix.size());
  return parse_place(name, kGgufTensors);
}

}  // namespace shine
