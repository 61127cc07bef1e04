#include "app/adapt/adapter_identity.h"

#include <gtest/gtest.h>

#include <set>

#include "shine/common/error.h"
#include "shine/io/safetensors.h"
#include "support/faults.h"
#include "support/paths.h"

namespace shine::test {
namespace {

RawTensor tensor_of(const std::vector<float>& values) {
  const auto owner = std::make_shared<const std::vector<float>>(values);
  return {DType::float32,
          {static_cast<std::int64_t>(values.size())},
          reinterpret_cast<const std::byte*>(owner->data()),
          values.size() * sizeof(float),
          owner};
}

TEST(AdapterIdentity, EveryPartCounts) {
  const AdapterSource source{"w", "b", "o"};
  const std::string first = adapter_identity({1, 2, 3}, source);
  EXPECT_EQ(first.size(), 16U);
  EXPECT_EQ(first.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_EQ(adapter_identity({1, 2, 3}, source), first);
  const std::set<std::string> all{first,
                                  adapter_identity({1, 2}, source),
                                  adapter_identity({1, 3, 2}, source),
                                  adapter_identity({1, 2, 3}, {"wb", "", "o"}),
                                  adapter_identity({1, 2, 3}, {"w", "bo", ""}),
                                  adapter_identity({1, 2, 3}, {"w", "b", "p"})};
  EXPECT_EQ(all.size(), 6U);
}

TEST(AdapterIdentity, OptionsAreThoseThatShapeTheLora) {
  const ExperimentConfig config;
  const auto changes = [&](const auto& set) {
    ExperimentConfig other = config;
    set(other);
    return lora_options(other) != lora_options(config);
  };
  EXPECT_TRUE(changes([](ExperimentConfig& c) { c.hypernetwork.generated_scale = 0.5; }));
  EXPECT_TRUE(changes([](ExperimentConfig& c) { c.hypernetwork.reshape = LoraReshape::ll; }));
  EXPECT_TRUE(changes([](ExperimentConfig& c) { c.hypernetwork.m2p.layers_first = false; }));
  EXPECT_TRUE(changes([](ExperimentConfig& c) { c.model.dtype = WeightDtype::bfloat16; }));
  EXPECT_FALSE(changes([](ExperimentConfig& c) { c.hypernetwork.memory_init_std = 0.5; }));
  EXPECT_FALSE(changes([](ExperimentConfig& c) { c.hypernetwork.cuda_graph = CudaGraph::off; }));
  EXPECT_FALSE(changes([](ExperimentConfig& c) { c.run.threads = 3; }));
  EXPECT_FALSE(changes([](ExperimentConfig& c) { c.evaluation.batch_size = 3; }));
}

TEST(AdapterIdentity, AnotherBackboneIsRefusedByName) {
  const TemporaryFolder folder;
  write_safetensors(folder.path() / "model.safetensors", {{"w", tensor_of({1, 2})}});
  const std::string own = backbone_fingerprint(folder.path());
  require_backbone({"", own, "models/same", ""}, "a", folder.path());
  require_backbone({}, "of another tool", folder.path());
  expect_fault<ConfigError>(
      "out/note: the adapter is for another backbone, models/other (weights 0123456789abcdef), "
      "than model.path " +
          folder.path().string() + " (weights " + own + ")",
      [&] {
        require_backbone({"", "0123456789abcdef", "models/other", ""}, "out/note", folder.path());
      });
  write_safetensors(folder.path() / "model.safetensors", {{"w", tensor_of({1, 3})}});
  EXPECT_NE(backbone_fingerprint(folder.path()), own);
}

}  // namespace
}  // namespace shine::test
