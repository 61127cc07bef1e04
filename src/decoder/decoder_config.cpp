#include "shine/decoder/decoder_config.h"

#include <array>
#include <nlohmann/json.hpp>
#include <vector>

#include "config/quote.h"
#include "io/json/json_file.h"
#include "shine/common/error.h"

namespace shine {
namespace {

using Json = nlohmann::json;

constexpr std::array<DecoderFamily, 2> kFamilies{{
    {.model_type = "qwen3", .qk_norm = true, .head_dim = 128, .window = WindowSwitch::use_sliding_window},
    {.model_type = "llama", .mlp_bias = true},
}};

/// Keys of related families that change the result whenever they are set; no family here implements them.
constexpr std::array<const char*, 14> kRefusedKeys{"quantization_config",
                                                   "num_experts",
                                                   "num_local_experts",
                                                   "logit_scale",
                                                   "embedding_multiplier",
                                                   "residual_multiplier",
                                                   "attention_multiplier",
                                                   "logits_scaling",
                                                   "final_logit_softcapping",
                                                   "attn_logit_softcapping",
                                                   "query_pre_attn_scalar",
                                                   "no_rope_layers",
                                                   "use_qk_norm",
                                                   "attention_chunk_size"};

std::string names_of(std::span<const DecoderFamily> families) {
  std::vector<std::string_view> names;
  for (const DecoderFamily& family : families) names.push_back(family.model_type);
  return join(names, " or ");
}

[[noreturn]] void refuse(const std::string& where, const std::string& key, const std::string& value) {
  throw UnsupportedError(str("`", key, "`: ", value, " would change the result and is not implemented"), where,
                         str("use a dense ", names_of(kFamilies), " model without it"));
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

bool uses_window(const Json& json, const DecoderFamily& family, std::int64_t layers, const std::string& where) {
  switch (family.window) {
    case WindowSwitch::never: return false;
    case WindowSwitch::sliding_window: return has_value(json, "sliding_window", where);
    case WindowSwitch::use_sliding_window:
      return get_bool_or(json, "use_sliding_window", false, where) &&
             (!json.contains("sliding_window") || has_value(json, "sliding_window", where)) &&
             get_int_or(json, "max_window_layers", 28, where) < layers;
  }
  return false;
}

void refuse_attention_variants(const Json& json, const DecoderFamily& family, const DecoderConfig& config,
                               const std::string& where) {
  if (has_value(json, "layer_types", where)) {
    for (const Json& type : get_array(json, "layer_types", where)) {
      if (type != "full_attention") refuse(where, "layer_types", quote(type.dump()));
    }
  } else if (uses_window(json, family, config.layers, where)) {
    const bool by_size = family.window == WindowSwitch::sliding_window;
    refuse(where, by_size ? "sliding_window" : "use_sliding_window", by_size ? json["sliding_window"].dump() : "true");
  }
  if (get_double_or(json, "attention_dropout", 0.0, where) != 0.0) refuse(where, "attention_dropout", "not 0");
}

/// transformers 4 keeps rope_theta and rope_scaling beside each other, transformers 5 in rope_parameters.
void read_rope(const Json& json, DecoderConfig& config, const std::string& where) {
  config.rope_theta = get_double_or(json, "rope_theta", 10000.0, where);
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (!has_value(json, key, where)) continue;
    const Json& rope = get_object(json, key, where);
    const std::string inner = str(where, ": ", key);
    const std::string type = get_string_or(rope, "rope_type", get_string_or(rope, "type", "default", inner), inner);
    if (type != "default") refuse(where, key, str("rope type ", quote(type)));
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

LoraSpec DecoderConfig::lora_spec() const {
  const std::int64_t q_width = heads * head_dim, kv_width = kv_heads * head_dim;
  LoraSpec spec;
  spec.layers = layers;
  spec.projections = {ProjectionSpec{hidden_size, q_width, attention_bias},
                      ProjectionSpec{hidden_size, kv_width, attention_bias},
                      ProjectionSpec{hidden_size, kv_width, attention_bias},
                      ProjectionSpec{q_width, hidden_size, attention_bias},
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
  config.rms_norm_eps = get_double_or(json, "rms_norm_eps", 1e-6, where);
  SHINE_CHECK(config.rms_norm_eps > 0, FormatError, where, ": `rms_norm_eps` is ", config.rms_norm_eps,
              ", expected above 0");
  config.tied_embeddings = get_bool_or(json, "tie_word_embeddings", false, where);
  config.attention_bias = get_bool_or(json, "attention_bias", false, where);
  config.mlp_bias = family.mlp_bias && get_bool_or(json, "mlp_bias", false, where);
  config.qk_norm = family.qk_norm;
  read_rope(json, config, where);
  refuse_attention_variants(json, family, config, where);
  return config;
}

}  // namespace shine
