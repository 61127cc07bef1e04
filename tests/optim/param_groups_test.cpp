#include "shine/optim/param_groups.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace shine {
namespace {

using Names = std::vector<std::string>;
using Groups = std::vector<std::tuple<std::string, double, Names>>;

TrainedParameter parameter(const std::string& name, ParameterGroup group, Decay decay) {
  return {name, at::zeros({2, 3}), group, decay};
}

Groups groups_of(const std::vector<TrainedParameter>& parameters, DecayScope scope) {
  OptimizerConfig config;
  config.weight_decay = 0.25;
  config.decay = scope;
  Groups groups;
  for (const ParamGroup& group : make_param_groups(parameters, config)) {
    EXPECT_EQ(group.names.size(), group.tensors.size());
    groups.emplace_back(group.name, group.weight_decay, group.names);
  }
  return groups;
}

/// Every combination but two that no module registers, not in the groups' order.
std::vector<TrainedParameter> all_kinds() {
  using enum ParameterGroup;
  return {parameter("memory", m2p, Decay::published_only),
          parameter("matrix", m2p, Decay::always),
          parameter("bias", m2p, Decay::never),
          parameter("positions", m2p, Decay::published_only),
          parameter("norm", m2p, Decay::never),
          parameter("A", meta_lora, Decay::always),
          parameter("up", backbone, Decay::always),
          parameter("C", meta_lora, Decay::published_only),
          parameter("embed", backbone, Decay::never),
          parameter("B", meta_lora, Decay::always),
          parameter("rows", m2p, Decay::published_only)};
}

TEST(ParamGroups, OursDecaysMatricesOnly) {
  EXPECT_EQ(groups_of(all_kinds(), DecayScope::ours), (Groups{{"m2p", 0.25, {"matrix"}},
                                                              {"m2p_no_decay", 0.0, {"bias", "norm"}},
                                                              {"meta_lora", 0.25, {"A", "B"}},
                                                              {"undecayed", 0.0, {"memory", "positions", "C", "rows"}},
                                                              {"backbone", 0.25, {"up"}},
                                                              {"backbone_no_decay", 0.0, {"embed"}}}));
}

TEST(ParamGroups, PublishedDecaysAllButBiasesAndNorms) {
  EXPECT_EQ(groups_of(all_kinds(), DecayScope::published),
            (Groups{{"m2p", 0.25, {"memory", "matrix", "positions", "rows"}},
                    {"m2p_no_decay", 0.0, {"bias", "norm"}},
                    {"meta_lora", 0.25, {"A", "C", "B"}},
                    {"backbone", 0.25, {"up"}},
                    {"backbone_no_decay", 0.0, {"embed"}}}));
}

TEST(ParamGroups, ANameDecidesNothing) {
  EXPECT_EQ(groups_of({parameter("metanetwork.norm1.bias", ParameterGroup::backbone, Decay::always)}, DecayScope::ours),
            (Groups{{"backbone", 0.25, {"metanetwork.norm1.bias"}}}));
}

TEST(ParamGroups, CountsValuesAndSharesTensors) {
  const std::vector<TrainedParameter> parameters{parameter("a", ParameterGroup::m2p, Decay::always),
                                                 parameter("b", ParameterGroup::m2p, Decay::always)};
  const auto groups = make_param_groups(parameters, OptimizerConfig{});
  ASSERT_EQ(groups.size(), 1U);
  EXPECT_EQ(groups[0].numel(), 12);
  EXPECT_TRUE(groups[0].tensors[1].is_same(parameters[1].tensor));
  EXPECT_TRUE(make_param_groups({}, OptimizerConfig{}).empty());
}

}  // namespace
}  // namespace shine
