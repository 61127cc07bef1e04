#include "adapter/peft_config.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "io/expect_fault.h"
#include "shine/common/error.h"

namespace shine {
namespace {

using Json = nlohmann::json;
using test::expect_fault;

constexpr const char* kQ = "model.layers.1.self_attn.q_proj";
constexpr const char* kDown = "model.layers.1.mlp.down_proj";

/// A sound configuration with these keys put in.
PeftConfig config_with(const Json& changes) {
  Json json{{"peft_type", "LORA"}, {"r", 4}, {"lora_alpha", 16}, {"target_modules", {"q_proj", "down_proj"}}};
  if (!changes.is_null()) json.update(changes);
  return read_peft_config(json, "x.json");
}

TEST(PeftConfig, ScaleIsAlphaOverTheRankOrItsRoot) {
  EXPECT_DOUBLE_EQ(config_with({}).scale_of(kQ), 4.0);
  EXPECT_DOUBLE_EQ(config_with({{"use_rslora", true}}).scale_of(kQ), 8.0);
  EXPECT_DOUBLE_EQ(config_with({{"lora_alpha", 2.5}, {"r", 5}}).scale_of(kQ), 0.5);
}

TEST(PeftConfig, PatternsMatchNamesAndTheirEnds) {
  const PeftConfig config = config_with({{"rank_pattern", {{"down_proj", 8}, {"layers.1.self_attn.q_proj", 2}}},
                                         {"alpha_pattern", {{R"(.*\.1\..*q_proj)", 6}, {"own_proj", 100}}}});
  EXPECT_EQ(config.rank_of(kQ), 2);
  EXPECT_EQ(config.rank_of(kDown), 8);
  EXPECT_EQ(config.rank_of("model.layers.0.self_attn.q_proj"), 4);
  EXPECT_DOUBLE_EQ(config.scale_of(kQ), 3.0);
  EXPECT_DOUBLE_EQ(config.scale_of(kDown), 2.0);  // "own_proj" is no end behind a dot
  EXPECT_EQ(config_with({{"rank_pattern", {{"^model.layers.1.mlp.down_proj", 8}}}}).rank_of(kDown), 8);
  EXPECT_EQ(config_with({{"rank_pattern", {{"q_proj|down_proj", 8}}}}).rank_of(kDown), 8);
}

TEST(PeftConfig, TwoPatternsMayNotDisagree) {
  const PeftConfig config = config_with({{"rank_pattern", {{"q_proj", 8}, {".*q_proj", 2}}}});
  expect_fault<FormatError>("the patterns \".*q_proj\" and \"q_proj\" give model.layers.1.self_attn.q_proj the values",
                            [&] { config.rank_of(kQ); });
  EXPECT_EQ(config_with({{"rank_pattern", {{"q_proj", 8}, {".*q_proj", 8}}}}).rank_of(kQ), 8);
}

TEST(PeftConfig, TargetsByListRegexOrAll) {
  EXPECT_TRUE(config_with({}).targets_module(1, kQ));
  EXPECT_FALSE(config_with({{"target_modules", {"v_proj", "oj"}}}).targets_module(1, kQ));
  EXPECT_TRUE(config_with({{"target_modules", {kQ}}}).targets_module(1, kQ));
  EXPECT_TRUE(config_with({{"target_modules", R"(.*\.(q|v)_proj)"}}).targets_module(1, kQ));
  EXPECT_FALSE(config_with({{"target_modules", R"(.*\.(q|v)_proj)"}}).targets_module(1, kDown));
  EXPECT_FALSE(config_with({{"target_modules", "q_proj"}}).targets_module(1, kQ)) << "a regex is for the whole name";
  EXPECT_TRUE(config_with({{"target_modules", "all-linear"}}).targets_module(1, kDown));
  EXPECT_FALSE(config_with({{"exclude_modules", {"q_proj"}}}).targets_module(1, kQ));
  EXPECT_FALSE(config_with({{"exclude_modules", ".*q_proj"}}).targets_module(1, kQ));
  EXPECT_TRUE(config_with({{"exclude_modules", Json::array()}}).targets_module(1, kQ));
}

TEST(PeftConfig, LayersMayBeChosen) {
  for (const Json& layers : {Json(1), Json::array({0, 1})}) {
    EXPECT_TRUE(config_with({{"layers_to_transform", layers}}).targets_module(1, kQ));
  }
  EXPECT_FALSE(config_with({{"layers_to_transform", {0}}}).targets_module(1, kQ));
  EXPECT_TRUE(config_with({{"layers_to_transform", Json::array()}}).targets_module(1, kQ));
  EXPECT_TRUE(config_with({{"layers_to_transform", {1}}, {"layers_pattern", "layers"}}).targets_module(1, kQ));
  EXPECT_TRUE(config_with({{"layers_to_transform", {0}}, {"target_modules", {kQ}}}).targets_module(1, kQ))
      << "a whole name counts in any layer";
}

TEST(PeftConfig, TakesWhatChangesNothing) {
  const Json harmless{{"task_type", "CAUSAL_LM"},
                      {"lora_dropout", 0.1},
                      {"inference_mode", true},
                      {"auto_mapping", nullptr},
                      {"revision", "main"},
                      {"peft_version", "0.21.2"},
                      {"init_lora_weights", "eva"},
                      {"eva_config", {{"rho", 2}}},
                      {"loftq_config", {{"loftq_bits", 4}}},
                      {"corda_config", {{"a", 1}}},
                      {"megatron_core", "megatron.core"},
                      {"qalora_group_size", 16},
                      {"fan_in_fan_out", false},
                      {"modules_to_save", nullptr},
                      {"use_dora", false},
                      {"later_key", nullptr},
                      {"later_flag", false},
                      {"later_list", Json::array()},
                      {"later_text", ""},
                      {"bias", "none"},
                      {"base_model_name_or_path", "base"}};
  EXPECT_EQ(config_with(harmless).base_model, "base");
  for (const Json& init : {Json(true), Json(false), Json("gaussian"), Json("orthogonal")}) {
    EXPECT_EQ(config_with({{"init_lora_weights", init}}).rank, 4);
  }
}

TEST(PeftConfig, RefusesByNameWhatChangesTheResult) {
  const std::vector<std::pair<Json, std::string>> refused{
      {{{"use_dora", true}}, "\"use_dora\": true is not supported"},
      {{{"modules_to_save", {"lm_head"}}}, R"("modules_to_save": ["lm_head"] is not supported)"},
      {{{"lora_bias", true}}, "\"lora_bias\""},
      {{{"trainable_token_indices", {1}}}, "\"trainable_token_indices\""},
      {{{"megatron_config", {{"x", 1}}}}, "\"megatron_config\""},
      {{{"use_qalora", true}}, "\"use_qalora\""},
      {{{"layer_replication", {{0, 1}}}}, "\"layer_replication\""},
      {{{"target_parameters", {"x"}}}, "\"target_parameters\""},
      {{{"alora_invocation_tokens", {1}}}, "\"alora_invocation_tokens\""},
      {{{"later_key", 0}}, "\"later_key\": 0"},
      {{{"bias", "all"}}, "\"bias\": \"all\""},
      {{{"bias", "lora_only"}}, "\"bias\": \"lora_only\""},
      {{{"init_lora_weights", "pissa"}}, "\"pissa\" changes the base weights"},
      {{{"init_lora_weights", "pissa_niter_4"}}, "changes the base weights"},
      {{{"init_lora_weights", "olora"}}, "changes the base weights"},
      {{{"init_lora_weights", "corda"}}, "changes the base weights"},
      {{{"init_lora_weights", "loftq"}}, "changes the base weights"},
      {{{"init_lora_weights", "lora_ga"}}, "changes the base weights"},
      {{{"peft_type", "IA3"}}, "\"peft_type\": \"IA3\""},
      {{{"layers_pattern", "h"}}, "\"layers_pattern\": \"h\""}};
  for (const auto& each : refused) expect_fault<UnsupportedError>(each.second, [&] { config_with(each.first); });
}

TEST(PeftConfig, RefusesWrongTypesAndValues) {
  const std::vector<std::pair<Json, std::string>> broken{
      {{{"r", 0}}, "\"r\" is 0"},
      {{{"r", -4}}, "\"r\" is -4"},
      {{{"r", "4"}}, "r"},
      {{{"lora_alpha", nullptr}}, "lora_alpha"},
      {{{"lora_alpha", HUGE_VAL}}, "lora_alpha"},
      {{{"target_modules", nullptr}}, "\"target_modules\" is missing or empty"},
      {{{"target_modules", Json::array()}}, "\"target_modules\" is missing or empty"},
      {{{"target_modules", ""}}, "\"target_modules\" is missing or empty"},
      {{{"target_modules", {1}}}, "expected strings"},
      {{{"target_modules", 1}}, "target_modules"},
      {{{"layers_to_transform", {"a"}}}, "expected integers"},
      {{{"layers_to_transform", {1}}, {"target_modules", ".*q_proj"}}, "goes with a list of target_modules alone"},
      {{{"rank_pattern", {{"q_proj", 0}}}}, "rank_pattern: \"q_proj\" is 0"},
      {{{"rank_pattern", {{"q_proj", "2"}}}}, "rank_pattern"},
      {{{"use_rslora", 1}}, "use_rslora"}};
  for (const auto& each : broken) expect_fault<FormatError>(each.second, [&] { config_with(each.first); });
  EXPECT_THROW(config_with({{"rank_pattern", {{"(", 2}}}}), Error);
  EXPECT_THROW(config_with({{"target_modules", "(("}}), Error);
  EXPECT_THROW(read_peft_config(Json::array(), "x"), FormatError);
}

}  // namespace
}  // namespace shine
