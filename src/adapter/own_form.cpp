#include "adapter/adapter_forms.h"
#include "adapter/pair_collector.h"
#include "io/json/quote_text.h"
#include "shine/common/error.h"
#include "shine/io/safetensors.h"

namespace shine {
namespace {

constexpr const char* kFormatKey = "shine.format";
constexpr const char* kFormat = "adapter 1";
constexpr std::string_view kSuffixA = ".A", kSuffixB = ".B", kSuffixC = ".C";

void add_tensor(PairCollector& pairs, const SafetensorsFile& file, const std::string& name) {
  const auto suffix_at = name.rfind('.');
  const std::string_view suffix = suffix_at == std::string::npos ? "" : std::string_view(name).substr(suffix_at);
  const auto place = parse_module_path(std::string_view(name).substr(0, name.size() - suffix.size()));
  if (place && suffix == kSuffixC) return pairs.add_bias(*place, name, file.tensor(name));
  if (place && (suffix == kSuffixA || suffix == kSuffixB)) {
    return pairs.add(*place, suffix == kSuffixA ? Half::a : Half::b, name, file.tensor(name));
  }
  throw FormatError(str("tensor ", quote_text(name), " is unknown"), file.path().string(),
                    str("expected model.layers.N.self_attn.q_proj", kSuffixA, " and the like"));
}

}  // namespace

RawAdapter read_own_form(const std::filesystem::path& path, const DecoderConfig& config) {
  const SafetensorsFile file(path / kOwnFile);
  const auto value = [&](const char* key) {
    const auto found = file.metadata().find(key);
    return found == file.metadata().end() ? std::string() : found->second;
  };
  if (value(kFormatKey) != kFormat) {
    throw FormatError(str("`", kFormatKey, "` is ", quote_text(value(kFormatKey)), ", expected ", quote_text(kFormat)),
                      file.path().string());
  }
  RawAdapter adapter;
  adapter.format = AdapterFormat::shine;
  adapter.where = path.string();
  adapter.metadata = metadata_from(value);
  PairCollector pairs(config.lora_spec(), PairLayout::ours, adapter.where);
  for (const std::string& name : file.names()) add_tensor(pairs, file, name);
  adapter.layers = pairs.finish();
  return adapter;
}

void write_own_form(const std::filesystem::path& folder, const WrittenAdapter& adapter) {
  NamedRawTensors tensors;
  for (const WrittenMap& map : adapter.maps) {
    const std::string path = module_path(map.place);
    tensors.emplace_back(str(path, kSuffixA), map.a);
    tensors.emplace_back(str(path, kSuffixB), map.b);
    if (map.c) tensors.emplace_back(str(path, kSuffixC), *map.c);
  }
  std::map<std::string, std::string> metadata{{kFormatKey, kFormat}};
  for (const auto& [key, text] : metadata_pairs(adapter.metadata)) metadata.emplace(key, text);
  write_safetensors(folder / kOwnFile, tensors, metadata);
}

}  // namespace shine
