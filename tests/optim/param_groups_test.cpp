#include "shine/optim/param_groups.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace shine {
namespace {

using Names = std::vector<std::string>;
using Groups = std::vector<std::tuple<std::string, double, Names>>;

std::vector<TrainedTensor> trained(const Names& names) {
  std::vector<TrainedTensor> tensors;
  for (const std::string& name : names) tensors.push_back({name, at::zeros({2, 3})});
  return tensors;
}

Groups groups_of(const std::vector<TrainedTensor>& tensors, DecayScope scope) {
  OptimizerConfig config;
  config.weight_decay = 0.25;
  config.decay = scope;
  Groups groups;
  for (const ParamGroup& group : make_param_groups(tensors, config)) {
    EXPECT_EQ(group.names.size(), group.tensors.size());
    groups.emplace_back(group.name, group.weight_decay, group.names);
  }
  return groups;
}

const std::string kLayer = "metanetwork.transformer_layers.0.";
const Names kMatrices{kLayer + "self_attn.in_proj_weight", kLayer + "linear1.weight"};
const Names kUndecayedM2p{kLayer + "self_attn.in_proj_bias", kLayer + "linear2.bias", kLayer + "norm1.weight",
                          kLayer + "norm2.bias"};
const Names kPositions{"metanetwork.layer_pe", "metanetwork.token_pe"};
const Names kMetaLora{"metalora.0.attention.q.A", "ift_additional_metalora.1.mlp.up.B"};

Names operator+(Names first, const Names& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

const Names kAll = Names{"mem_tokens"} + kPositions + kMatrices + kUndecayedM2p + kMetaLora +
                   Names{"metalora.0.attention.q.C", "new_token_rows"};

TEST(ParamGroups, OursDecaysMatricesOnly) {
  EXPECT_EQ(groups_of(trained(kAll), DecayScope::ours),
            (Groups{{"m2p", 0.25, kMatrices},
                    {"m2p_no_decay", 0.0, kUndecayedM2p},
                    {"meta_lora", 0.25, kMetaLora},
                    {"undecayed", 0.0,
                     Names{"mem_tokens"} + kPositions + Names{"metalora.0.attention.q.C", "new_token_rows"}}}));
}

TEST(ParamGroups, PublishedDecaysAllButBiasesAndNorms) {
  EXPECT_EQ(groups_of(trained(kAll), DecayScope::published),
            (Groups{{"m2p", 0.25, Names{"mem_tokens"} + kPositions + kMatrices + Names{"new_token_rows"}},
                    {"m2p_no_decay", 0.0, kUndecayedM2p},
                    {"meta_lora", 0.25, kMetaLora + Names{"metalora.0.attention.q.C"}}}));
}

TEST(ParamGroups, ABackboneHasItsOwnGroups) {
  std::vector<TrainedTensor> tensors =
      trained({"model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight", "lm_head.weight"});
  tensors.push_back({"model.layers.0.input_layernorm.weight", at::zeros({3})});
  tensors.push_back({"model.layers.0.self_attn.q_proj.bias", at::zeros({3})});
  for (const auto scope : {DecayScope::ours, DecayScope::published}) {
    EXPECT_EQ(groups_of(tensors, scope),
              (Groups{{"backbone", 0.25, {"model.layers.0.mlp.up_proj.weight", "lm_head.weight"}},
                      {"backbone_no_decay",
                       0.0,
                       {"model.embed_tokens.weight", "model.layers.0.input_layernorm.weight",
                        "model.layers.0.self_attn.q_proj.bias"}}}));
  }
}

TEST(ParamGroups, CountsValuesAndSharesTensors) {
  const auto tensors = trained(kMatrices);
  const auto groups = make_param_groups(tensors, OptimizerConfig{});
  ASSERT_EQ(groups.size(), 1U);
  EXPECT_EQ(groups[0].numel(), 12);
  EXPECT_TRUE(groups[0].tensors[1].is_same(tensors[1].tensor));
  EXPECT_TRUE(make_param_groups({}, OptimizerConfig{}).empty());
}

}  // namespace
}  // namespace shine
