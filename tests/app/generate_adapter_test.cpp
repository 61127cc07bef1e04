#include "app/adapt/generate_adapter.h"

#include <gtest/gtest.h>

#include "app/adapt/load_adapters.h"
#include "app/fixture_experiment.h"
#include "shine/common/error.h"
#include "support/faults.h"
#include "support/paths.h"
#include "support/relative_error.h"

namespace shine::test {
namespace {

class GenerateAdapter : public testing::Test {
 protected:
  GenerateAdapter() { experiment_.config.evaluation.context_max_length = 12; }

  ContextIds encode(const std::string& text, LongContext over_long = LongContext::error) const {
    return encode_context(experiment_, {"a.txt", text}, over_long);
  }

  FixtureExperiment fixture_;
  const WeightsSource& weights_ = fixture_.weights;
  Experiment& experiment_ = fixture_.experiment;
};

TEST_F(GenerateAdapter, AContextAboveTheLimitIsAnErrorUnlessItIsCut) {
  EXPECT_EQ(encode("twelve bytes").ids.size(), 12U);
  EXPECT_EQ(encode("twelve bytes").cut, 0);
  EXPECT_EQ(
      fault_of<ConfigError>([&] { encode("thirteen byte"); }),
      "a.txt: the context has 13 tokens, more than evaluation.context_max_length 12 (shorten it, raise the limit, "
      "or cut it by --over-long cut)");
  const ContextIds cut = encode("twelve bytes and more", LongContext::cut);
  EXPECT_EQ(cut.ids, encode("twelve bytes").ids);
  EXPECT_EQ(cut.cut, 9);
  expect_fault<ConfigError>("a.txt: the context is empty", [&] { encode(""); });
  const std::int64_t positions = experiment_.decoder->config().max_positions;
  experiment_.config.evaluation.context_max_length = positions;
  expect_fault<ConfigError>("more than the backbone's " + std::to_string(positions) + " positions",
                            [&] { encode(std::string(static_cast<std::size_t>(positions), 'a')); });
  experiment_.hypernetwork.reset();
  expect_fault<ConfigError>("stage backbone generates no LoRA", [&] { encode("a"); });
}

TEST_F(GenerateAdapter, ABatchGivesEachContextItsOwn) {
  const AdapterGenerator generator(experiment_, weights_);
  const std::vector<ContextIds> contexts{encode("A bell."), encode("A longer one")};
  const std::vector<Adapter> batch = generator.generate(contexts);
  ASSERT_EQ(batch.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    const Adapter alone = std::move(generator.generate({contexts[i]}).front());
    const at::NoGradGuard no_grad;
    const LoraTree direct = experiment_.hypernetwork->generate(TokenRows::pack({contexts[i].ids}, at::kCPU)).tree;
    for (std::size_t layer = 0; layer < direct.layers.size(); ++layer) {
      for (const Projection p : kProjections) {
        const LoraWeights& found = batch[i].tree.layers[layer][p];
        EXPECT_EQ(found.a.size(0), 1);
        EXPECT_LT(relative_error(found.a, direct.layers[layer][p].a), 1e-4);
        EXPECT_LT(relative_error(found.b, direct.layers[layer][p].b), 1e-4);
      }
    }
    EXPECT_EQ(batch[i].metadata.identity, alone.metadata.identity) << "of any batch";
  }
  EXPECT_NE(batch[0].metadata.identity, batch[1].metadata.identity);
  EXPECT_EQ(batch[0].metadata.backbone, backbone_fingerprint(experiment_.config.model.path));
  EXPECT_EQ(batch[0].metadata.base_model, experiment_.config.model.path);
  EXPECT_EQ(batch[0].metadata.tool.find("shine 0."), 0U);
  EXPECT_EQ(generate_adapter(experiment_, weights_, {"a", "A bell."}).metadata.identity, batch[0].metadata.identity);
}

TEST(AdapterChoice, TakesAWeightBehindTheLastColon) {
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "a").string();
  EXPECT_EQ(adapter_choice(path).weight, 1.0);
  EXPECT_EQ(adapter_choice(path + ":0.25").path.string(), path);
  EXPECT_EQ(adapter_choice(path + ":0.25").weight, 0.25);
  EXPECT_EQ(adapter_choice(path + ":-2").weight, -2.0);
  EXPECT_EQ(adapter_choice(path + ":x").path.string(), path + ":x");
  std::filesystem::create_directories(path + ":3");
  EXPECT_EQ(adapter_choice(path + ":3").path.string(), path + ":3") << "it exists";
  expect_fault<ConfigError>("a weight that is not finite", [&] { adapter_choice(path + ":inf"); });
}

}  // namespace
}  // namespace shine::test
