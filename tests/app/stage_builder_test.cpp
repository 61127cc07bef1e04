#include "app/build/stage_builder.h"

#include <gtest/gtest.h>

#include "data/byte_tokenizer.h"
#include "decoder/tiny_model.h"
#include "shine/common/error.h"

namespace shine::test {
namespace {

class StageBuilderTest : public testing::Test {
 protected:
  StageBuilderTest() {
    config_.model.path = "models/published";
    config_.model.config = "own/config.json";
    config_.hypernetwork = tiny_options().config;
  }

  std::unique_ptr<StageBuilder> builder(StageName name) {
    config_.stage.name = name;
    return make_stage_builder(config_);
  }

  ExperimentConfig config_;
};

TEST_F(StageBuilderTest, EveryStageHasOne) {
  for (std::size_t i = 0; i < config_names(StageName{}).size(); ++i) {
    const auto name = static_cast<StageName>(i);
    const bool backbone = name == StageName::backbone;
    const auto stage = builder(name);
    EXPECT_EQ(stage->has_hypernetwork(), !backbone) << enum_name(name);
    EXPECT_EQ(stage->decoder_config().string(), backbone ? "own/config.json" : "models/published/config.json");
    EXPECT_EQ(stage->passes(), backbone ? 1 : 2) << "contexts and conversations";
  }
}

TEST_F(StageBuilderTest, WhatIsTrainedIsCounted) {
  const auto decoder = tiny_decoder();
  const TrainedParts backbone = builder(StageName::backbone)->describe(*decoder);
  EXPECT_TRUE(backbone.backbone);
  EXPECT_EQ(backbone.parameters, count_parameters(*decoder));
  EXPECT_EQ(backbone.memory_tokens, 0);

  const TrainedParts parts = builder(StageName::pretrain)->describe(*decoder);
  std::int64_t parameters = 0;
  for (const TrainedParameter& trained : tiny_hypernetwork(*decoder)->trained()) parameters += trained.tensor.numel();
  EXPECT_FALSE(parts.backbone);
  EXPECT_EQ(parts.parameters, parameters);
  EXPECT_EQ(parts.memory_tokens, 29);
  EXPECT_NE(parts.text.find("memory tokens: 29\n"), std::string::npos) << parts.text;
}

TEST_F(StageBuilderTest, TokensWithoutARowGetOneUnlessTheBackboneIsTrained) {
  Experiment experiment;
  experiment.tokenizer = std::make_shared<ByteTokenizer>();
  experiment.decoder = tiny_decoder();
  EXPECT_THROW(builder(StageName::backbone)->complete(experiment, {}), ConfigError);
  EXPECT_EQ(experiment.hypernetwork, nullptr);
  builder(StageName::ift_mqa)->complete(experiment, {});
  ASSERT_NE(experiment.hypernetwork, nullptr);
  EXPECT_EQ(experiment.hypernetwork->options().new_tokens, experiment.tokenizer->size() - tiny_config().vocab_size);
}

}  // namespace
}  // namespace shine::test
