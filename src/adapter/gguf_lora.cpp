#include "adapter/gguf_lora.h"

#include <array>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "adapter/formats.h"
#include "adapter/identity.h"
#include "adapter/pair_collector.h"
#include "io/gguf/gguf_file.h"
#include "io/gguf/gguf_writer.h"
#include "io/json/quote_text.h"
#include "shine/common/error.h"

namespace shine {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTypeKey = "general.type";
constexpr const char* kArchitectureKey = "general.architecture";
constexpr const char* kBaseCountKey = "general.base_model.count";
constexpr const char* kBaseNameKey = "general.base_model.0.name";
constexpr const char* kAdapterTypeKey = "adapter.type";
constexpr const char* kAlphaKey = "adapter.lora.alpha";
constexpr const char* kTaskKey = "adapter.lora.task_name";

struct KnownArchitecture {
  std::string_view model_type, name;
  bool rotary_pairs;
};
constexpr std::array<KnownArchitecture, 6> kArchitectures{{{"qwen3", "qwen3", false},
                                                           {"qwen2", "qwen2", false},
                                                           {"llama", "llama", true},
                                                           {"mistral", "llama", true},
                                                           {"smollm3", "smollm3", true},
                                                           {"olmo2", "olmo2", false}}};

/// Copies row `from(head, i, half)` of every head to `to(head, i, half)`, for i below half a head.
template <class From, class To>
RawTensor move_rows(const RawTensor& b, std::int64_t heads, From&& from, To&& to) {
  const std::int64_t rows = b.shape.at(0), head_dim = rows / heads;
  SHINE_CHECK(head_dim % 2 == 0 && head_dim * heads == rows, UnsupportedError, "a GGUF LoRA of ", rows, " rows in ",
              heads, " heads: heads of an even size are needed");
  const std::size_t row_bytes = b.bytes / static_cast<std::size_t>(rows);
  const std::shared_ptr<std::byte[]> moved(new std::byte[b.bytes]);
  for (std::int64_t head = 0; head < heads; ++head) {
    for (std::int64_t i = 0; i < head_dim / 2; ++i) {
      for (std::int64_t half = 0; half < 2; ++half) {
        const auto source = static_cast<std::size_t>(head * head_dim + from(i, half, head_dim));
        const auto target = static_cast<std::size_t>(head * head_dim + to(i, half, head_dim));
        std::memcpy(moved.get() + target * row_bytes, b.data + source * row_bytes, row_bytes);
      }
    }
  }
  return {b.dtype, b.shape, moved.get(), b.bytes, moved};
}

std::int64_t half_apart(std::int64_t i, std::int64_t half, std::int64_t head_dim) {
  return half * (head_dim / 2) + i;
}

std::int64_t side_by_side(std::int64_t i, std::int64_t half, std::int64_t /*head_dim*/) {
  return 2 * i + half;
}

/// Heads of q or k; nothing for the other projections, whose rows stay.
std::optional<std::int64_t> rotated_heads(Projection projection, const DecoderConfig& config) {
  if (projection == Projection::q) return config.heads;
  if (projection == Projection::k) return config.kv_heads;
  return std::nullopt;
}

struct GgufName {
  AdaptedMap map;
  PairPart part = PairPart::a;
};

/// "blk.N.<map>.weight.lora_a".
std::optional<GgufName> parse_name(std::string_view name) {
  constexpr std::string_view start = "blk.", end = ".weight.lora_";
  if (!name.starts_with(start) || !(name.ends_with('a') || name.ends_with('b'))) return std::nullopt;
  const bool is_a = name.ends_with('a');
  name = name.substr(start.size(), name.size() - start.size() - 1);
  if (!name.ends_with(end)) return std::nullopt;
  name.remove_suffix(end.size());
  const auto map = gguf_map(name);
  if (!map) return std::nullopt;
  return GgufName{*map, is_a ? PairPart::a : PairPart::b};
}

void require_text(const GgufFile& file, const char* key, const std::string& expected, const char* cure) {
  const auto* found = file.find<std::string>(key);
  if (found != nullptr && *found == expected) return;
  throw UnsupportedError(str(quote_text(key), " is ", found == nullptr ? "missing" : quote_text(*found), ", expected ",
                             quote_text(expected)),
                         file.path().string(), cure);
}

void check_metadata(const GgufFile& file, const std::string& architecture) {
  require_text(file, kTypeKey, "adapter", "a LoRA is needed, not a model");
  require_text(file, kAdapterTypeKey, "lora", "a LoRA is needed");
  require_text(file, kArchitectureKey, architecture, "an adapter for this backbone is needed");
  for (const auto& [key, unused] : file.metadata()) {
    const bool known = key == kAdapterTypeKey || key == kAlphaKey || key == kTaskKey;
    if (key.starts_with("adapter.") && !known) {
      throw UnsupportedError(str(quote_text(key), " is not supported"), file.path().string(),
                             "this key may change the result; leave it out if it does not");
    }
  }
}

AdapterMetadata metadata_of(const GgufFile& file) {
  std::map<std::string, std::string> texts;
  for (const auto& [key, value] : file.metadata()) {
    if (const auto* text = std::get_if<std::string>(&value.value)) texts[key] = *text;
  }
  AdapterMetadata metadata = identity_of(texts, file.path().string());
  if (metadata.base_model.empty()) metadata.base_model = texts[kBaseNameKey];
  return metadata;
}

/// llama.cpp's scale: alpha / rank; alpha 0, or none, means 1.
double alpha_of(const GgufFile& file) {
  const float* alpha = file.find<float>(kAlphaKey);
  if (alpha == nullptr) return 0;
  SHINE_CHECK(*alpha - *alpha == 0, FormatError, file.path().string(), ": ", kAlphaKey, " is not finite");
  return *alpha;
}

}  // namespace

GgufArchitecture gguf_architecture(const std::string& model_type) {
  for (const KnownArchitecture& known : kArchitectures) {
    if (known.model_type == model_type) return {std::string(known.name), known.rotary_pairs};
  }
  throw UnsupportedError(str("no GGUF architecture is known for model_type ", quote_text(model_type)), {},
                         "use a PEFT adapter");
}

RawTensor to_rotary_pairs(const RawTensor& b, std::int64_t heads) {
  return move_rows(b, heads, half_apart, side_by_side);
}

RawTensor from_rotary_pairs(const RawTensor& b, std::int64_t heads) {
  return move_rows(b, heads, side_by_side, half_apart);
}

RawAdapter read_gguf_lora(const fs::path& path, const DecoderConfig& config) {
  const GgufArchitecture architecture = gguf_architecture(config.model_type);
  const GgufFile file(path);
  check_metadata(file, architecture.name);
  RawAdapter adapter{.format = AdapterFormat::gguf, .metadata = metadata_of(file), .where = path.string()};
  PairCollector pairs(config.lora_spec(), PairLayout::transposed, adapter.where);
  for (const std::string& name : file.names()) {
    const auto parsed = parse_name(name);
    if (!parsed) {
      throw UnsupportedError(str("tensor ", quote_text(name), " is not a LoRA of the decoder's seven projections"),
                             adapter.where, "use an adapter of attention and feed-forward projections alone");
    }
    pairs.add(parsed->map, parsed->part, name, file.tensor(name));
  }
  adapter.layers = pairs.finish();
  const double alpha = alpha_of(file);
  for (auto& layer : adapter.layers) {
    for (const Projection projection : kProjections) {
      auto& pair = layer[static_cast<std::size_t>(projection)];
      if (!pair) continue;
      pair->scale = alpha == 0 ? 1.0 : alpha / static_cast<double>(pair->rank);
      const auto heads = rotated_heads(projection, config);
      if (architecture.rotary_pairs && heads) pair->b = from_rotary_pairs(pair->b, *heads);
    }
  }
  return adapter;
}

void write_gguf_lora(const fs::path& path, const RawAdapter& adapter, const DecoderConfig& config) {
  const GgufArchitecture architecture = gguf_architecture(config.model_type);
  GgufMetadata metadata;
  for (const auto& [key, text] : identity_entries(adapter.metadata)) metadata[key] = {text};
  metadata[kTypeKey] = {std::string("adapter")};
  metadata[kArchitectureKey] = {architecture.name};
  metadata[kAdapterTypeKey] = {std::string("lora")};
  metadata[kAlphaKey] = {static_cast<float>(rank_of(adapter))};
  if (!adapter.metadata.base_model.empty()) {
    metadata[kBaseCountKey] = {std::uint32_t{1}};
    metadata[kBaseNameKey] = {adapter.metadata.base_model};
  }
  NamedRawTensors tensors;
  for_each_pair(adapter.layers, [&](AdaptedMap map, const RawPair& pair) {
    const auto heads = rotated_heads(map.projection, config);
    const std::string prefix = str("blk.", map.layer, ".", gguf_name(map.projection), ".weight.lora_");
    tensors.emplace_back(prefix + "a", pair.a);
    tensors.emplace_back(prefix + "b", architecture.rotary_pairs && heads ? to_rotary_pairs(pair.b, *heads) : pair.b);
  });
  write_gguf(path, tensors, metadata);
}

}  // namespace shine
