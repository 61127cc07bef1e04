#include <array>
#include <cmath>

#include "adapter/adapter_forms.h"
#include "adapter/gguf_rows.h"
#include "adapter/pair_collector.h"
#include "io/gguf/gguf_file.h"
#include "io/json/quote_text.h"
#include "shine/common/error.h"

namespace shine {
namespace {

constexpr std::string_view kSuffixA = ".lora_a", kSuffixB = ".lora_b";
constexpr const char* kAlphaKey = "adapter.lora.alpha";

/// How llama.cpp calls a family, and whether its files hold q and k with their rows in pairs.
struct Architecture {
  std::string_view model_type, name;
  bool pairs = false;
};
constexpr std::array<Architecture, 6> kArchitectures{{{"llama", "llama", true},
                                                      {"mistral", "llama", true},
                                                      {"smollm3", "smollm3", true},
                                                      {"qwen2", "qwen2"},
                                                      {"qwen3", "qwen3"},
                                                      {"olmo2", "olmo2"}}};

const Architecture& architecture_of(const std::string& model_type) {
  for (const Architecture& architecture : kArchitectures) {
    if (architecture.model_type == model_type) return architecture;
  }
  throw UnsupportedError(str("GGUF adapters of model_type ", quote_text(model_type), " are not known"), {},
                         "use --format peft");
}

/// Heads whose rows are in pairs; 0: they lie as elsewhere.
std::int64_t paired_heads(const Architecture& architecture, Projection projection, const DecoderConfig& config) {
  if (!architecture.pairs) return 0;
  if (projection == Projection::q) return config.heads;
  return projection == Projection::k ? config.kv_heads : 0;
}

void check_metadata(const GgufFile& file, const Architecture& architecture) {
  const auto expect = [&](const char* key, std::string_view expected) {
    const std::string& found = file.text(key);
    SHINE_CHECK(found == expected, FormatError, file.path().string(), ": `", key, "` is ", quote_text(found),
                ", expected ", quote_text(expected));
  };
  expect("general.type", "adapter");
  expect("adapter.type", "lora");
  expect("general.architecture", architecture.name);
}

void add_tensor(PairCollector& pairs, const GgufFile& file, const std::string& name, const Architecture& architecture,
                const DecoderConfig& config) {
  std::string_view path = name;
  const bool is_a = path.ends_with(kSuffixA);
  if (is_a || path.ends_with(kSuffixB)) {
    path.remove_suffix(kSuffixA.size());
    if (const auto place = parse_gguf_tensor_name(path)) {
      RawTensor tensor = file.tensor(name);
      const std::int64_t heads = is_a ? 0 : paired_heads(architecture, place->projection, config);
      const bool fits = tensor.shape.size() == 2 && tensor.shape[0] == heads * config.head_dim;
      if (heads > 0 && fits) tensor = rows_in_halves(tensor, heads);
      pairs.add(*place, is_a ? Half::a : Half::b, name, std::move(tensor));
      return;
    }
  }
  throw FormatError(str("tensor ", quote_text(name), " is for no map that can be adapted here"), file.path().string(),
                    str("expected blk.N.attn_q.weight", kSuffixA, " and the like"));
}

}  // namespace

RawAdapter read_gguf_lora(const std::filesystem::path& path, const DecoderConfig& config) {
  const GgufFile file(path);
  const Architecture& architecture = architecture_of(config.model_type);
  check_metadata(file, architecture);
  RawAdapter adapter;
  adapter.format = AdapterFormat::gguf;
  adapter.where = path.string();
  PairCollector pairs(config.lora_spec(), PairLayout::transposed, adapter.where);
  for (const auto& item : file.entries()) add_tensor(pairs, file, item.first, architecture, config);
  adapter.layers = pairs.finish();
  const double alpha = file.number(kAlphaKey);
  SHINE_CHECK(std::isfinite(alpha), FormatError, adapter.where, ": `", kAlphaKey, "` is not finite");
  for (auto& layer : adapter.layers) {
    for (std::optional<RawPair>& pair : layer) {  // as llama.cpp reads it: alpha 0 is no scale
      if (pair && alpha != 0.0) pair->scale = alpha / static_cast<double>(pair->rank);
    }
  }
  adapter.metadata =
      metadata_from([&](const char* key) { return file.metadata().contains(key) ? file.text(key) : std::string(); });
  return adapter;
}

void write_gguf_lora(const std::filesystem::path& path, const WrittenAdapter& adapter, const DecoderConfig& config) {
  const Architecture& architecture = architecture_of(config.model_type);
  NamedRawTensors tensors;
  for (const WrittenMap& map : adapter.maps) {
    const std::string name = gguf_tensor_name(map.place);
    const std::int64_t heads = paired_heads(architecture, map.place.projection, config);
    tensors.emplace_back(str(name, kSuffixA), map.a);
    tensors.emplace_back(str(name, kSuffixB), heads > 0 ? rows_in_pairs(map.b, heads) : map.b);
  }
  std::vector<std::pair<std::string, GgufValue>> metadata{{"general.architecture", std::string(architecture.name)},
                                                          {"general.type", std::string("adapter")},
                                                          {"adapter.type", std::string("lora")},
                                                          {kAlphaKey, static_cast<double>(adapter.rank)}};
  for (const auto& [key, text] : metadata_pairs(adapter.metadata)) metadata.emplace_back(key, text);
  write_gguf(path, tensors, metadata);
}

}  // namespace shine
