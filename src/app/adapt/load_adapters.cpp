#include "app/adapt/load_adapters.h"

#include <charconv>
#include <cmath>

#include "app/adapt/adapter_identity.h"
#include "config/path_variables.h"
#include "shine/common/error.h"
#include "shine/decoder/decoder_config.h"

namespace shine {
namespace {

std::filesystem::path expanded(const std::string& text) {
  ExpandedPath path = expand_home(text);
  if (!path.fault.empty()) throw ConfigError(path.fault, "--adapter " + text);
  return path.path;
}

}  // namespace

AdapterChoice adapter_choice(const std::string& text) {
  const std::filesystem::path whole = expanded(text);
  const std::size_t colon = text.rfind(':');
  std::error_code ignored;
  if (colon == std::string::npos || std::filesystem::exists(whole, ignored)) return {whole, 1.0};
  double weight = 0.0;
  const char* const end = text.data() + text.size();
  const auto [stop, fault] = std::from_chars(text.data() + colon + 1, end, weight);
  if (fault != std::errc() || stop != end) return {whole, 1.0};  // a path with a colon in it
  SHINE_CHECK(std::isfinite(weight), ConfigError, "--adapter ", text, ": a weight that is not finite");
  return {expanded(text.substr(0, colon)), weight};
}

Adapter load_adapters(const std::vector<AdapterChoice>& choices, const std::filesystem::path& model,
                      bool any_backbone) {
  const DecoderConfig config = read_decoder_config(model / "config.json");
  std::vector<WeightedAdapter> adapters;
  for (const AdapterChoice& choice : choices) {
    adapters.push_back({read_adapter(choice.path, config), choice.weight});
    if (!any_backbone) require_backbone(adapters.back().adapter.metadata, choice.path.string(), model);
  }
  return combine_adapters(adapters);
}

}  // namespace shine
