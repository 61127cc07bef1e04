#include "shine/decoder/decoder_config.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <vector>

#include "config/quote.h"
#include "io/json/json_file.h"
#include "shine/common/error.h"

namespace shine {
namespace {

using Json = nlohmann::json;

constexpr std::array<DecoderFamily, 6> kFamilies{{
    {.model_type = "qwen3", .qk_norm = true, .window = WindowSwitch::use_sliding_window, .head_dim = 128},
    {.model_type = "qwen2", .attention_bias = AttentionBias::qkv, .window = WindowSwitch::use_sliding_window},
    {.model_type = "llama", .mlp_bias = true},
    {.model_type = "mistral", .attention_bias = AttentionBias::none, .window = WindowSwitch::sliding_window},
    {.model_type = "smollm3",
     .mlp_bias = true,
     .rotary_by_layer = true,
     .window = WindowSwitch::use_sliding_window,
     .rope_theta = 2e6,
     .tied_embeddings = true},
    {.model_type = "olmo2", .qk_norm_across_heads = true, .post_norm = true, .rms_norm_eps = 1e-5},
}};

/// A kind of model that no family here is of, by a key of its config.json or a part of its model_type.
struct OtherKind {
  std::string_view sign, what, cure;
};
constexpr std::string_view kDense = "use a dense model", kText = "use a model of text alone";
constexpr std::array<OtherKind, 6> kOtherKinds{{
    {"quantization_config", "a quantised model", "use the same model in bfloat16, float16 or float32"},
    {"vision_config", "a multimodal model", kText},
    {"audio_config", "a multimodal model", kText},
    {"text_config", "a multimodal model", kText},
    {"num_experts", "a mixture of experts", kDense},
    {"num_local_experts", "a mixture of experts", kDense},
}};
constexpr std::array<OtherKind, 5> kOtherTypes{{
    {"moe", "a mixture of experts", kDense},
    {"mixtral", "a mixture of experts", kDense},
    {"deepseek_v", "a mixture of experts", kDense},
    {"llava", "a multimodal model", kText},
    {"_vl", "a multimodal model", kText},
}};

/// Keys of related families that change the result whenever they are set; no family here implements them.
constexpr std::array kRefusedKeys{"logit_scale",
                                  "embedding_multiplier",
                                  "residual_multiplier",
                                  "attention_multiplier",
                                  "logits_scaling",
                                  "final_logit_softcapping",
                                  "attn_logit_softcapping",
                                  "query_pre_attn_scalar",
                                  "use_qk_norm",
                                  "clip_qkv",
                                  "attention_chunk_size"};

std::string names_of(std::span<const DecoderFamily> families) {
  std::vector<std::string_view> names;
  for (const DecoderFamily& family : families) names.push_back(family.model_type);
  if (names.size() < 2) return join(names, "");
  const std::string_view last = names.back();
  names.pop_back();
  return str(join(names, ", "), " or ", last);
}

[[noreturn]] void refuse(const std::string& where, const std::string& key, const std::string& value) {
  throw UnsupportedError(str("`", key, "`: ", value, " would change the result and is not implemented"), where,
                         str("use a dense ", names_of(kFamilies), " model without it"));
}

void refuse_other_kinds(const Json& json, const std::string& model_type, const std::string& where) {
  const auto refuse_kind = [&](const OtherKind& kind, const std::string& sign) {
    throw UnsupportedError(str("model_type ", quote(model_type), ": ", kind.what, sign, ", which is not implemented"),
                           where, str(kind.cure, " (", names_of(kFamilies), ")"));
  };
  for (const OtherKind& kind : kOtherKinds) {
    if (has_value(json, std::string(kind.sign), where)) refuse_kind(kind, str(" (`", kind.sign, "`)"));
  }
  for (const OtherKind& kind : kOtherTypes) {
    if (model_type.find(kind.sign) != std::string::npos) refuse_kind(kind, "");
  }
}

std::int64_t positive(const Json& json, const char* key, const std::string& where) {
  constexpr std::int64_t limit = std::int64_t{1} << 24;
  const std::int64_t value = get_int(json, key, where);
  SHINE_CHECK(value > 0 && value <= limit, FormatError, where, ": `", key, "` is ", value, ", expected 1 to ", limit);
  return value;
}

const DecoderFamily& family_of(const std::string& model_type, std::span<const DecoderFamily> families,
                               const std::string& where) {
  for (const DecoderFamily& family : families) {
    if (family.model_type == model_type) return family;
  }
  throw UnsupportedError(str("model_type ", quote(model_type), " is not implemented"), where,
                         str("use a ", names_of(families), " model"));
}

/// The sliding window of some layer, which the family's switch or `layer_types` puts in use; 0: none.
std::int64_t window_of(const Json& json, const DecoderFamily& family, std::int64_t layers, const std::string& where) {
  bool used = family.window == WindowSwitch::sliding_window;
  if (has_value(json, "layer_types", where)) {
    for (const Json& type : get_array(json, "layer_types", where)) {
      const bool slides = family.window != WindowSwitch::never && type == "sliding_attention";
      if (type != "full_attention" && !slides) refuse(where, "layer_types", quote(type.dump()));
      used = used || slides;
    }
  } else if (family.window == WindowSwitch::use_sliding_window) {
    const std::int64_t first = family.rotary_by_layer ? 0 : get_int_or(json, "max_window_layers", 28, where);
    used = get_bool_or(json, "use_sliding_window", false, where) && first < layers;
  }
  constexpr std::int64_t family_default = 4096;
  if (!used || (json.contains("sliding_window") && !has_value(json, "sliding_window", where))) return 0;
  return json.contains("sliding_window") ? positive(json, "sliding_window", where) : family_default;
}

RopeScaling read_rope_scaling(const Json& rope, const std::string& key, const std::string& where) {
  const std::string inner = str(where, ": ", key);
  const std::string type = get_string_or(rope, "rope_type", get_string_or(rope, "type", "default", inner), inner);
  if (type == "default") return {};
  if (type != "linear" && type != "llama3") refuse(where, key, str("rope type ", quote(type)));
  RopeScaling scaling{.kind = type == "linear" ? RopeScaling::Kind::linear : RopeScaling::Kind::llama3,
                      .factor = get_double(rope, "factor", inner)};
  SHINE_CHECK(scaling.factor >= 1, FormatError, inner, ": `factor` is ", scaling.factor, ", expected 1 or more");
  if (scaling.kind == RopeScaling::Kind::linear) return scaling;
  scaling.low = get_double(rope, "low_freq_factor", inner);
  scaling.high = get_double(rope, "high_freq_factor", inner);
  scaling.original_positions = positive(rope, "original_max_position_embeddings", inner);
  SHINE_CHECK(scaling.low > 0 && scaling.high > scaling.low, FormatError, inner, ": `low_freq_factor` ", scaling.low,
              " and `high_freq_factor` ", scaling.high, ": expected the first above 0 and the second above the first");
  return scaling;
}

/// transformers 4 keeps rope_theta and rope_scaling beside each other, transformers 5 in rope_parameters.
void read_rope(const Json& json, const DecoderFamily& family, DecoderConfig& config, const std::string& where) {
  config.rope_theta = get_double_or(json, "rope_theta", family.rope_theta, where);
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (!has_value(json, key, where)) continue;
    const Json& rope = get_object(json, key, where);
    const std::string inner = str(where, ": ", key);
    const RopeScaling scaling = read_rope_scaling(rope, key, where);
    SHINE_CHECK(config.rope_scaling == RopeScaling{} || config.rope_scaling == scaling, FormatError, inner,
                ": another rope type than that of `rope_scaling`");
    config.rope_scaling = scaling;
    if (get_double_or(rope, "partial_rotary_factor", 1.0, inner) != 1.0)
      refuse(inner, "partial_rotary_factor", "not 1");
    const double theta = get_double_or(rope, "rope_theta", config.rope_theta, inner);
    SHINE_CHECK(!has_value(json, "rope_theta", where) || theta == config.rope_theta, FormatError, inner,
                ": rope_theta ", theta, " differs from the outer rope_theta ", config.rope_theta);
    config.rope_theta = theta;
  }
  if (get_double_or(json, "partial_rotary_factor", 1.0, where) != 1.0) refuse(where, "partial_rotary_factor", "not 1");
  SHINE_CHECK(config.rope_theta > 0, FormatError, where, ": `rope_theta` is ", config.rope_theta, ", expected above 0");
}

/// `no_rope_layers` holds, against its name, 1 for a layer that is rotated.
std::vector<std::int64_t> read_unrotated_layers(const Json& json, const DecoderFamily& family, std::int64_t layers,
                                                const std::string& where) {
  if (!family.rotary_by_layer) {
    for (const char* key : {"no_rope_layers", "no_rope_layer_interval"}) {
      if (has_value(json, key, where)) refuse(where, key, json[key].dump().substr(0, 80));
    }
    return {};
  }
  const bool listed = has_value(json, "no_rope_layers", where);
  const Json none = Json::array();
  const Json& list = listed ? get_array(json, "no_rope_layers", where) : none;
  SHINE_CHECK(!listed || list.size() >= static_cast<std::size_t>(layers), FormatError, where, ": `no_rope_layers` has ",
              list.size(), " entries for ", layers, " layers");
  const std::int64_t interval =
      has_value(json, "no_rope_layer_interval", where) ? positive(json, "no_rope_layer_interval", where) : 4;
  std::vector<std::int64_t> unrotated;
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    bool rotated = (layer + 1) % interval != 0;
    if (listed) {
      const Json& entry = list[static_cast<std::size_t>(layer)];
      SHINE_CHECK(entry == 0 || entry == 1, FormatError, where, ": `no_rope_layers` holds ", quote(entry.dump()),
                  ", expected 0 or 1");
      rotated = entry == 1;
    }
    if (!rotated) unrotated.push_back(layer);
  }
  return unrotated;
}

void read_biases(const Json& json, const DecoderFamily& family, DecoderConfig& config, const std::string& where) {
  const bool asked = get_bool_or(json, "attention_bias", false, where);
  config.qkv_bias =
      family.attention_bias == AttentionBias::qkv || (family.attention_bias == AttentionBias::by_key && asked);
  config.o_bias = family.attention_bias == AttentionBias::by_key && asked;
  config.mlp_bias = family.mlp_bias && get_bool_or(json, "mlp_bias", false, where);
}

void read_heads(const Json& json, const DecoderFamily& family, DecoderConfig& config, const std::string& where) {
  config.heads = positive(json, "num_attention_heads", where);
  config.kv_heads =
      has_value(json, "num_key_value_heads", where) ? positive(json, "num_key_value_heads", where) : config.heads;
  SHINE_CHECK(config.heads % config.kv_heads == 0, FormatError, where, ": ", config.heads,
              " attention heads are not a multiple of ", config.kv_heads, " key/value heads");
  if (has_value(json, "head_dim", where)) {
    config.head_dim = positive(json, "head_dim", where);
  } else if (family.head_dim > 0) {
    config.head_dim = family.head_dim;
  } else {
    SHINE_CHECK(config.hidden_size % config.heads == 0, FormatError, where, ": hidden_size ", config.hidden_size,
                " is not a multiple of ", config.heads, " heads and `head_dim` is missing");
    config.head_dim = config.hidden_size / config.heads;
  }
  SHINE_CHECK(config.head_dim % 2 == 0, FormatError, where, ": `head_dim` is ", config.head_dim, ", expected even");
}

}  // namespace

bool DecoderConfig::rotates(std::int64_t layer) const {
  return std::ranges::find(unrotated_layers, layer) == unrotated_layers.end();
}

void DecoderConfig::check_row(std::int64_t tokens) const {
  SHINE_CHECK(sliding_window == 0 || tokens <= sliding_window, ShapeError, "a row of ", tokens,
              " tokens: the backbone's sliding window of ", sliding_window,
              " would take effect, which is not implemented");
}

LoraSpec DecoderConfig::lora_spec() const {
  const std::int64_t q_width = heads * head_dim, kv_width = kv_heads * head_dim;
  LoraSpec spec;
  spec.layers = layers;
  spec.projections = {ProjectionSpec{hidden_size, q_width, qkv_bias},
                      ProjectionSpec{hidden_size, kv_width, qkv_bias},
                      ProjectionSpec{hidden_size, kv_width, qkv_bias},
                      ProjectionSpec{q_width, hidden_size, o_bias},
                      ProjectionSpec{hidden_size, intermediate_size, mlp_bias},
                      ProjectionSpec{hidden_size, intermediate_size, mlp_bias},
                      ProjectionSpec{intermediate_size, hidden_size, mlp_bias}};
  return spec;
}

std::span<const DecoderFamily> decoder_families() {
  return kFamilies;
}

DecoderConfig read_decoder_config(const std::filesystem::path& file, std::span<const DecoderFamily> families) {
  const std::string where = file.string();
  const Json json = read_json_file(file);
  DecoderConfig config;
  config.model_type = get_string(json, "model_type", where);
  refuse_other_kinds(json, config.model_type, where);
  const DecoderFamily& family = family_of(config.model_type, families, where);
  for (const char* key : kRefusedKeys) {
    if (has_value(json, key, where)) refuse(where, key, json[key].dump().substr(0, 80));
  }
  const std::string activation = get_string_or(json, "hidden_act", "silu", where);
  if (activation != "silu") refuse(where, "hidden_act", quote(activation));
  config.vocab_size = positive(json, "vocab_size", where);
  config.hidden_size = positive(json, "hidden_size", where);
  config.intermediate_size = positive(json, "intermediate_size", where);
  config.layers = positive(json, "num_hidden_layers", where);
  config.max_positions = get_int_or(json, "max_position_embeddings", 0, where);
  read_heads(json, family, config, where);
  config.rms_norm_eps = get_double_or(json, "rms_norm_eps", family.rms_norm_eps, where);
  SHINE_CHECK(config.rms_norm_eps > 0, FormatError, where, ": `rms_norm_eps` is ", config.rms_norm_eps,
              ", expected above 0");
  config.tied_embeddings = get_bool_or(json, "tie_word_embeddings", family.tied_embeddings, where);
  read_biases(json, family, config, where);
  config.qk_norm = family.qk_norm;
  config.qk_norm_across_heads = family.qk_norm_across_heads;
  config.post_norm = family.post_norm;
  read_rope(json, family, config, where);
  config.unrotated_layers = read_unrotated_layers(json, family, config.layers, where);
  config.sliding_window = window_of(json, family, config.layers, where);
  if (config.sliding_window > 0 && (config.max_positions <= 0 || config.max_positions > config.sliding_window)) {
    config.max_positions = config.sliding_window;
  }
  if (get_double_or(json, "attention_dropout", 0.0, where) != 0.0) refuse(where, "attention_dropout", "not 0");
  return config;
}

}  // namespace shine
