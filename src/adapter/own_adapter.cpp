#include <optional>
#include <string_view>

#include "adapter/formats.h"
#include "adapter/identity.h"
#include "adapter/pair_collector.h"
#include "io/json/quote_text.h"
#include "shine/common/error.h"
#include "shine/io/safetensors.h"

namespace shine {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFormatKey = "format";
constexpr const char* kFormat = "shine-adapter-1";

struct OwnName {
  AdaptedMap map;
  PairPart part = PairPart::a;
};

std::string name_of(AdaptedMap map, std::string_view part) {
  return str(map.layer, ".", dotted_name(map.projection), ".", part);
}

/// "{layer}.{attention|mlp}.{projection}.{A|B|C}", as in checkpoints.
std::optional<OwnName> parse_name(std::string_view name) {
  const std::size_t first = name.find('.'), last = name.rfind('.');
  if (first == last) return std::nullopt;  // also where there is none
  const auto layer = layer_number(name.substr(0, first));
  const std::string_view part = name.substr(last + 1);
  if (!layer || (part != "A" && part != "B" && part != "C")) return std::nullopt;
  for (const Projection projection : kProjections) {
    if (name.substr(first + 1, last - first - 1) != dotted_name(projection)) continue;
    return OwnName{{*layer, projection}, part == "A" ? PairPart::a : part == "B" ? PairPart::b : PairPart::c};
  }
  return std::nullopt;
}

}  // namespace

RawAdapter read_own_adapter(const fs::path& folder, const DecoderConfig& config) {
  const SafetensorsFile file(folder / kOwnAdapterName);
  RawAdapter adapter{.format = AdapterFormat::shine, .where = file.path().string()};
  const auto format = file.metadata().find(kFormatKey);
  if (format == file.metadata().end() || format->second != kFormat) {
    throw FormatError(
        str("\"format\" in the metadata is ", format == file.metadata().end() ? "missing" : quote_text(format->second),
            ", expected ", quote_text(kFormat)),
        adapter.where, "it was not written by this program, or by a later version");
  }
  adapter.metadata = identity_of(file.metadata(), adapter.where);
  const LoraSpec spec = config.lora_spec();
  PairCollector pairs(spec, PairLayout::ours, adapter.where);
  for (const std::string& name : file.names()) {
    const auto parsed = parse_name(name);
    if (!parsed) throw FormatError(str("tensor ", quote_text(name), " is not known"), adapter.where);
    if (parsed->part == PairPart::c && !spec[parsed->map.projection].has_bias) {
      throw FormatError(str("tensor ", quote_text(name), ": this projection of the decoder has no bias"),
                        adapter.where);
    }
    pairs.add(parsed->map, parsed->part, name, file.tensor(name));
  }
  adapter.layers = pairs.finish();
  return adapter;
}

void write_own_adapter(const fs::path& folder, const RawAdapter& adapter) {
  NamedRawTensors tensors;
  for_each_pair(adapter.layers, [&](AdaptedMap map, const RawPair& pair) {
    tensors.emplace_back(name_of(map, "A"), pair.a);
    tensors.emplace_back(name_of(map, "B"), pair.b);
    if (pair.c) tensors.emplace_back(name_of(map, "C"), *pair.c);
  });
  auto metadata = identity_entries(adapter.metadata);
  metadata[kFormatKey] = kFormat;
  write_safetensors(folder / kOwnAdapterName, tensors, metadata);
}

}  // namespace shine
