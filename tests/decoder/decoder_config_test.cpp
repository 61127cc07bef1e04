#include "shine/decoder/decoder_config.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "io/files/text_file.h"
#include "shine/common/error.h"
#include "support/faults.h"
#include "support/paths.h"

namespace shine::test {
namespace {

using Json = nlohmann::json;

Json minimal(const std::string& model_type = "qwen3") {
  return {{"model_type", model_type}, {"vocab_size", 40},         {"hidden_size", 16},        {"intermediate_size", 24},
          {"num_hidden_layers", 2},   {"num_attention_heads", 4}, {"num_key_value_heads", 2}, {"head_dim", 6}};
}

Json with(Json json, const std::string& key, Json value) {
  json[key] = std::move(value);
  return json;
}

Json without(Json json, const std::string& key) {
  json.erase(key);
  return json;
}

DecoderConfig read(const Json& json) {
  const TemporaryFolder folder;
  write_file_atomically(folder.path() / "config.json", json.dump());
  return read_decoder_config(folder.path() / "config.json");
}

/// The message of the Kind of error that reading `json` throws; empty for none. Another error passes through.
template <class Kind>
std::string message(const Json& json) {
  return fault_of<Kind>([&] { read(json); });
}

template <class Kind>
void expect_error(const Json& json, const std::string& part) {
  std::string text;
  EXPECT_NO_THROW(text = message<Kind>(json)) << "another kind of error for " << json.dump();
  EXPECT_NE(text.find(part), std::string::npos) << json.dump() << "\ngave: " << text;
  EXPECT_NE(text.find("config.json"), std::string::npos) << text;
  EXPECT_EQ(text.find('\n'), std::string::npos) << text;
}

TEST(DecoderConfig, ReadsQwen3) {
  Json json = minimal();
  json.update({{"rms_norm_eps", 1e-5}, {"rope_theta", 1e6}, {"tie_word_embeddings", true}, {"attention_bias", true}});
  json.update({{"max_position_embeddings", 99}, {"mlp_bias", true}});
  const DecoderConfig config = read(json);
  EXPECT_EQ(config.model_type, "qwen3");
  EXPECT_EQ(config.vocab_size, 40);
  EXPECT_EQ(config.hidden_size, 16);
  EXPECT_EQ(config.intermediate_size, 24);
  EXPECT_EQ(config.layers, 2);
  EXPECT_EQ(config.heads, 4);
  EXPECT_EQ(config.kv_heads, 2);
  EXPECT_EQ(config.head_dim, 6);
  EXPECT_EQ(config.max_positions, 99);
  EXPECT_EQ(config.rms_norm_eps, 1e-5);
  EXPECT_EQ(config.rope_theta, 1e6);
  EXPECT_TRUE(config.tied_embeddings);
  EXPECT_TRUE(config.qkv_bias);
  EXPECT_TRUE(config.o_bias);
  EXPECT_FALSE(config.mlp_bias) << "qwen3 has no such biases, whatever the file says";
  EXPECT_TRUE(config.qk_norm);
}

TEST(DecoderConfig, ReadsLlamaAndItsDefaults) {
  Json json = minimal("llama");
  json.update({{"mlp_bias", true}});
  json = without(without(json, "head_dim"), "num_key_value_heads");
  const DecoderConfig config = read(json);
  EXPECT_EQ(config.head_dim, 4);
  EXPECT_EQ(config.kv_heads, 4);
  EXPECT_EQ(config.rms_norm_eps, 1e-6);
  EXPECT_EQ(config.rope_theta, 10000.0);
  EXPECT_FALSE(config.tied_embeddings);
  EXPECT_FALSE(config.qkv_bias);
  EXPECT_FALSE(config.o_bias);
  EXPECT_TRUE(config.mlp_bias);
  EXPECT_FALSE(config.qk_norm);
  EXPECT_EQ(read(without(minimal(), "head_dim")).head_dim, 128) << "qwen3's own default";
}

TEST(DecoderConfig, ReadsQwen2) {
  const DecoderConfig config = read(with(without(minimal("qwen2"), "head_dim"), "attention_bias", false));
  EXPECT_EQ(config.head_dim, 4);
  EXPECT_TRUE(config.qkv_bias) << "whatever the file says";
  EXPECT_FALSE(config.o_bias || config.mlp_bias || config.qk_norm || config.tied_embeddings);
  const LoraSpec spec = config.lora_spec();
  for (const Projection p : kProjections) {
    EXPECT_EQ(spec[p].has_bias, p == Projection::q || p == Projection::k || p == Projection::v) << name_of(p);
  }
}

TEST(DecoderConfig, ReadsMistral) {
  Json json = with(with(minimal("mistral"), "head_dim", nullptr), "attention_bias", true);
  json.update({{"max_position_embeddings", 99}, {"mlp_bias", true}});
  const auto expect = [](const DecoderConfig& config, std::int64_t window, std::int64_t positions) {
    EXPECT_EQ(config.sliding_window, window);
    EXPECT_EQ(config.max_positions, positions);
  };
  const DecoderConfig config = read(with(json, "sliding_window", nullptr));
  EXPECT_EQ(config.head_dim, 4);
  EXPECT_FALSE(config.qkv_bias || config.o_bias || config.mlp_bias) << "it has none, whatever the file says";
  expect(config, 0, 99);
  expect(read(with(json, "sliding_window", 64)), 64, 64);
  expect(read(with(json, "sliding_window", 200)), 200, 99);
  expect(read(json), 4096, 99);  // the family's default
  expect(read(without(with(json, "sliding_window", 64), "max_position_embeddings")), 64, 64);
  expect_error<FormatError>(with(json, "sliding_window", 0), "sliding_window");
  EXPECT_NO_THROW(read(with(json, "sliding_window", 64)).check_row(64));
  EXPECT_THROW(read(with(json, "sliding_window", 64)).check_row(65), ShapeError);
  EXPECT_NO_THROW(config.check_row(1 << 20));
}

TEST(DecoderConfig, ReadsSmolLm3) {
  const Json json = with(minimal("smollm3"), "num_hidden_layers", 5);
  const DecoderConfig config = read(json);
  EXPECT_EQ(config.rope_theta, 2e6);
  EXPECT_TRUE(config.tied_embeddings) << "the family's default";
  EXPECT_EQ(config.unrotated_layers, std::vector<std::int64_t>{3}) << "every fourth";
  EXPECT_TRUE(config.rotates(2));
  EXPECT_FALSE(config.rotates(3));
  const auto unrotated = [&](const char* key, const Json& value) {
    return read(with(with(json, "no_rope_layer_interval", 4), key, value)).unrotated_layers;
  };
  EXPECT_EQ(unrotated("no_rope_layer_interval", 2), (std::vector<std::int64_t>{1, 3}));
  EXPECT_EQ(unrotated("no_rope_layers", {0, 1, 1, 1, 0, 0}), (std::vector<std::int64_t>{0, 4}));
  EXPECT_EQ(unrotated("no_rope_layers", {1, 1, 1, 1, 1}), std::vector<std::int64_t>{});
  expect_error<FormatError>(with(json, "no_rope_layers", {1, 1}), "2 entries for 5 layers");
  expect_error<FormatError>(with(json, "no_rope_layers", {1, 1, 2, 1, 1}), "expected 0 or 1");
  expect_error<FormatError>(with(json, "no_rope_layers", {1, 1, "1", 1, 1}), "expected 0 or 1");
  expect_error<FormatError>(with(json, "no_rope_layer_interval", 0), "no_rope_layer_interval");
  const Json window = with(with(json, "use_sliding_window", true), "max_window_layers", 28);
  EXPECT_EQ(read(with(window, "sliding_window", 128)).sliding_window, 128);
  EXPECT_EQ(read(with(window, "sliding_window", nullptr)).sliding_window, 0);
}

TEST(DecoderConfig, ReadsOlmo2) {
  const DecoderConfig config = read(minimal("olmo2"));
  EXPECT_EQ(config.rms_norm_eps, 1e-5) << "the family's default";
  EXPECT_TRUE(config.post_norm);
  EXPECT_TRUE(config.qk_norm_across_heads);
  EXPECT_FALSE(config.qk_norm || config.qkv_bias || config.o_bias);
}

TEST(DecoderConfig, ReadsRopeScaling) {
  const Json llama3{{"rope_type", "llama3"},   {"factor", 32.0},    {"low_freq_factor", 1.0},
                    {"high_freq_factor", 4.0}, {"rope_theta", 5e5}, {"original_max_position_embeddings", 8192}};
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    EXPECT_EQ(read(with(minimal("llama"), key, {{"type", "linear"}, {"factor", 2.0}})).rope_scaling,
              (RopeScaling{RopeScaling::Kind::linear, 2.0}));
    EXPECT_EQ(read(with(minimal("llama"), key, llama3)).rope_scaling,
              (RopeScaling{RopeScaling::Kind::llama3, 32.0, 1.0, 4.0, 8192}));
    expect_error<FormatError>(with(minimal("llama"), key, {{"type", "linear"}}), "factor");
    expect_error<FormatError>(with(minimal("llama"), key, {{"type", "linear"}, {"factor", 0.0}}), "1 or more");
    for (const char* part : {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"}) {
      expect_error<FormatError>(with(minimal("llama"), key, without(llama3, part)), part);
    }
    expect_error<FormatError>(with(minimal("llama"), key, with(llama3, "low_freq_factor", 4.0)), "high_freq_factor");
    for (const char* type : {"dynamic", "yarn", "longrope", "su"}) {
      expect_error<UnsupportedError>(with(minimal("llama"), key, {{"type", type}, {"factor", 2.0}}),
                                     std::string("rope type `") + type + "`");
    }
  }
  const Json linear = with(minimal("llama"), "rope_scaling", {{"type", "linear"}, {"factor", 2.0}});
  expect_error<FormatError>(with(linear, "rope_parameters", llama3), "another rope type");
}

TEST(DecoderConfig, ModelsOfAnotherKindAreRefusedByName) {
  const std::vector<std::tuple<const char*, const char*, const char*>> kinds{
      {"qwen3_moe", "num_experts", "a mixture of experts"},  {"mixtral", "num_local_experts", "a mixture of experts"},
      {"qwen2_moe", nullptr, "a mixture of experts"},        {"mixtral", nullptr, "a mixture of experts"},
      {"llava", "vision_config", "a multimodal model"},      {"gemma3", "text_config", "a multimodal model"},
      {"qwen2_audio", "audio_config", "a multimodal model"}, {"qwen2_vl", nullptr, "a multimodal model"},
      {"llama", "quantization_config", "a quantised model"}};
  for (const auto& [type, key, what] : kinds) {
    Json json = minimal(type);
    if (key) json[key] = {{"quant_method", "gptq"}};
    expect_error<UnsupportedError>(json, what);
    expect_error<UnsupportedError>(json, std::string("`") + type + "`");
    if (key) expect_error<UnsupportedError>(json, std::string("`") + key + "`");
    expect_error<UnsupportedError>(json, "(use ");
    expect_error<UnsupportedError>(json, "qwen3, qwen2, llama, mistral, smollm3 or olmo2");
  }
}

TEST(DecoderConfig, LoraSpecHasTheSevenProjections) {
  const LoraSpec spec = read(with(minimal(), "attention_bias", true)).lora_spec();
  EXPECT_EQ(spec.layers, 2);
  const auto expect = [&](Projection p, std::int64_t in, std::int64_t out, bool bias) {
    EXPECT_EQ(spec[p].in, in) << name_of(p);
    EXPECT_EQ(spec[p].out, out) << name_of(p);
    EXPECT_EQ(spec[p].has_bias, bias) << name_of(p);
  };
  expect(Projection::q, 16, 24, true);
  expect(Projection::k, 16, 12, true);
  expect(Projection::v, 16, 12, true);
  expect(Projection::o, 24, 16, true);
  expect(Projection::gate, 16, 24, false);
  expect(Projection::up, 16, 24, false);
  expect(Projection::down, 24, 16, false);
}

TEST(DecoderConfig, OtherFamiliesAreRefused) {
  for (const char* type : {"qwen3_moe", "gemma", "gemma2", "phi3", "gpt2", ""}) {
    expect_error<UnsupportedError>(minimal(type), std::string("`") + type + "`");
  }
}

TEST(DecoderConfig, KeysThatChangeTheResultAreRefused) {
  const std::vector<std::pair<std::string, Json>> refused{
      {"rope_scaling", {{"rope_type", "yarn"}, {"factor", 4.0}}},
      {"rope_scaling", {{"type", "dynamic"}, {"factor", 2.0}}},
      {"rope_parameters", {{"rope_type", "longrope"}, {"rope_theta", 5e5}}},
      {"rope_parameters", {{"rope_type", "default"}, {"partial_rotary_factor", 0.5}}},
      {"hidden_act", "gelu"},
      {"hidden_act", "relu"},
      {"partial_rotary_factor", 0.5},
      {"attention_dropout", 0.1},
      {"layer_types", {"full_attention", "chunked_attention"}},
      {"logit_scale", 0.5},
      {"logits_scaling", 2.0},
      {"embedding_multiplier", 2.0},
      {"residual_multiplier", 2.0},
      {"attention_multiplier", 2.0},
      {"final_logit_softcapping", 30.0},
      {"attn_logit_softcapping", 50.0},
      {"query_pre_attn_scalar", 256},
      {"no_rope_layers", {1, 0}},
      {"no_rope_layer_interval", 4},
      {"clip_qkv", 8.0},
      {"use_qk_norm", true},
      {"attention_chunk_size", 64}};
  for (const auto& [key, value] : refused) {
    for (const char* type : {"qwen3", "llama"}) {
      const bool inner = value.is_object() && value.contains("partial_rotary_factor");
      expect_error<UnsupportedError>(with(minimal(type), key, value), inner ? "partial_rotary_factor" : key);
    }
  }
}

TEST(DecoderConfig, SlidingWindowInUseLimitsThePositions) {
  for (const char* type : {"qwen3", "qwen2"}) {
    Json used = minimal(type);
    used.update({{"use_sliding_window", true}, {"sliding_window", 128}, {"max_window_layers", 1}});
    EXPECT_EQ(read(used).sliding_window, 128);
    EXPECT_EQ(read(used).max_positions, 128);
    EXPECT_EQ(read(without(used, "sliding_window")).sliding_window, 4096) << "the family's default";
    const Json types = with(minimal(type), "layer_types", {"full_attention", "sliding_attention"});
    EXPECT_EQ(read(with(types, "sliding_window", 64)).max_positions, 64);
  }
  const Json types{"full_attention", "sliding_attention"};
  expect_error<UnsupportedError>(with(minimal("llama"), "layer_types", types), "layer_types");
}

TEST(DecoderConfig, WhatChangesNothingIsAccepted) {
  Json window = minimal();
  window.update({{"use_sliding_window", true}, {"sliding_window", 128}, {"max_window_layers", 2}});
  EXPECT_EQ(read(window).sliding_window, 0) << "the window would begin above the last layer";
  EXPECT_EQ(read(with(with(window, "max_window_layers", 0), "sliding_window", nullptr)).sliding_window, 0);
  EXPECT_EQ(read(with(with(window, "max_window_layers", 0), "use_sliding_window", false)).sliding_window, 0);
  for (const auto& [key, value] :
       std::vector<std::pair<std::string, Json>>{{"sliding_window", nullptr},
                                                 {"sliding_window", 4096},
                                                 {"use_sliding_window", false},
                                                 {"rope_scaling", nullptr},
                                                 {"quantization_config", nullptr},
                                                 {"layer_types", {"full_attention", "full_attention"}},
                                                 {"attention_dropout", 0.0},
                                                 {"partial_rotary_factor", 1.0},
                                                 {"hidden_act", "silu"},
                                                 {"rope_scaling", {{"rope_type", "default"}}},
                                                 {"initializer_range", 0.02},
                                                 {"use_cache", true}}) {
    EXPECT_EQ(message<std::exception>(with(minimal(), key, value)), "") << key;
  }
}

TEST(DecoderConfig, RopeParametersCarryTheta) {
  const Json inner{{"rope_type", "default"}, {"rope_theta", 5e5}};
  EXPECT_EQ(read(with(minimal(), "rope_parameters", inner)).rope_theta, 5e5);
  EXPECT_EQ(read(with(with(minimal(), "rope_parameters", inner), "rope_theta", 5e5)).rope_theta, 5e5);
  expect_error<FormatError>(with(with(minimal(), "rope_parameters", inner), "rope_theta", 1e4), "rope_theta");
}

TEST(DecoderConfig, MissingOrOddValuesAreFormatErrors) {
  for (const char* key :
       {"model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"}) {
    expect_error<FormatError>(without(minimal(), key), key);
    expect_error<FormatError>(with(minimal(), key, nullptr), key);
    expect_error<FormatError>(with(minimal(), key, Json::array({1})), key);
  }
  for (const char* key : {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
                          "num_key_value_heads", "head_dim"}) {
    for (const Json& value : {Json(0), Json(-1), Json(2.5), Json("8"), Json(std::int64_t{1} << 40), Json(UINT64_MAX)}) {
      expect_error<FormatError>(with(minimal(), key, value), key);
    }
  }
  expect_error<FormatError>(with(minimal(), "head_dim", 7), "even");
  expect_error<FormatError>(with(minimal(), "num_key_value_heads", 3), "multiple of 3");
  expect_error<FormatError>(without(with(minimal("llama"), "num_attention_heads", 6), "head_dim"), "multiple of");
  expect_error<FormatError>(with(minimal(), "rope_theta", 0), "rope_theta");
  expect_error<FormatError>(with(minimal(), "rms_norm_eps", -1.0), "rms_norm_eps");
  expect_error<FormatError>(with(minimal(), "tie_word_embeddings", "yes"), "tie_word_embeddings");
  expect_error<FormatError>(with(minimal(), "layer_types", "full_attention"), "layer_types");
  expect_error<FormatError>(with(minimal(), "rope_parameters", 1), "rope_parameters");
  expect_error<FormatError>(Json::array(), "object");
  EXPECT_THROW(read_decoder_config("/nonexistent/config.json"), IoError);
}

}  // namespace
}  // namespace shine::test
