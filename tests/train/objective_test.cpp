// How the parameters of the models are registered for training.
#include "shine/train/objective.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <set>

#include "decoder/tiny_model.h"

namespace shine::test {
namespace {

struct Rule {
  std::regex name;
  ParameterGroup group;
  Decay decay;
};

/// The first that fits.
const std::vector<Rule>& rules() {
  using enum ParameterGroup;
  static const std::vector<Rule> all{
      {std::regex("mem_tokens|new_token_rows"), m2p, Decay::published_only},
      {std::regex(R"(metanetwork\.(layer|token)_pe)"), m2p, Decay::published_only},
      {std::regex(R"(metanetwork\..*(bias|norm[12]\.weight))"), m2p, Decay::never},
      {std::regex(R"(metanetwork\..*)"), m2p, Decay::always},
      {std::regex(R"((extra_)?metalora\..*\.C)"), meta_lora, Decay::published_only},
      {std::regex(R"((extra_)?metalora\..*\.[AB])"), meta_lora, Decay::always},
      {std::regex(R"(model\..*(embed_tokens\.weight|norm\.weight|bias))"), backbone, Decay::never},
      {std::regex(R"(model\..*_proj\.weight|lm_head\.weight)"), backbone, Decay::always}};
  return all;
}

/// @return the rules that were used
std::size_t check(const Objective& objective) {
  std::set<const Rule*> used;
  for (const TrainedParameter& parameter : objective.trained()) {
    const auto rule = std::ranges::find_if(
        rules(), [&](const Rule& candidate) { return std::regex_match(parameter.name, candidate.name); });
    EXPECT_NE(rule, rules().end()) << parameter.name;
    if (rule == rules().end()) continue;
    EXPECT_EQ(parameter.group, rule->group) << parameter.name;
    EXPECT_EQ(parameter.decay, rule->decay) << parameter.name;
    used.insert(&*rule);
  }
  return used.size();
}

TEST(TrainedParameters, OfAHypernetwork) {
  const auto decoder = tiny_decoder(tiny_biased_config());
  for (const M2pKind kind : {M2pKind::transformer, M2pKind::linear, M2pKind::lineargate}) {
    for (const std::int64_t extra : {0, 2}) {
      HypernetworkOptions options = tiny_options();
      options.config.m2p.kind = kind;
      options.config.m2p.linear_hidden = 8;
      options.config.m2p.linear_bias = true;
      options.extra_meta_lora_rank = extra;
      options.new_tokens = 3;
      const auto hypernetwork = tiny_hypernetwork(*decoder, options);
      EXPECT_EQ(check(ShineObjective(*hypernetwork, /*with_penalty=*/false)), 6U);
    }
  }
}

TEST(TrainedParameters, OfABackbone) {
  for (const DecoderConfig& config : {tiny_config(), tiny_biased_config()}) {
    const auto decoder = tiny_decoder(config);
    EXPECT_TRUE(LanguageModelObjective(*decoder).trained().empty()) << "frozen";
    decoder->set_trained();
    EXPECT_EQ(check(LanguageModelObjective(*decoder)), 2U);
  }
}

}  // namespace
}  // namespace shine::test
