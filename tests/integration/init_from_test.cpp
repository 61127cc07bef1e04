// stage.init_from: one of our checkpoints, a folder in the published layout, and one that does not fit.
#include <gtest/gtest.h>

#include <cstring>

#include "checkpoint/published_checkpoint.h"
#include "integration/tiny_run.h"
#include "shine/io/safetensors.h"

namespace shine::test {
namespace {

namespace fs = std::filesystem;

class InitFrom : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    tiny_ = new TinyRun();
    backbone_ = tiny_->train_backbone();
    first_ = tiny_->train("pretrain.yaml", {"run.max_steps=3"});
  }
  static void TearDownTestSuite() { delete tiny_; }
  void SetUp() override {
    ASSERT_EQ(backbone_.status, 0) << backbone_.err;
    ASSERT_EQ(first_.status, 0) << first_.err;
  }

  static fs::path checkpoint() { return tiny_->folder() / "run/checkpoints/step-3"; }

  /// One step with rate 0 (the warm-up's first): the weights stay what they were.
  static Outcome one_step(const std::string& name, std::vector<std::string> overrides) {
    overrides.insert(overrides.end(), {"run.dir=" + tiny_->file(name), "run.max_steps=1"});
    return tiny_->train("pretrain.yaml", overrides);
  }

  static TinyRun* tiny_;
  static Outcome backbone_, first_;
};

TinyRun* InitFrom::tiny_ = nullptr;
Outcome InitFrom::backbone_, InitFrom::first_;

TEST_F(InitFrom, OneOfOurCheckpoints) {
  const Outcome outcome = one_step("second", {"stage.init_from=" + checkpoint().string()});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.err.find("resuming"), std::string::npos) << outcome.err;
  EXPECT_TRUE(read_bytes(checkpoint() / "trained.safetensors") ==
              read_bytes(tiny_->folder() / "second/checkpoints/step-1/trained.safetensors"));
}

TEST_F(InitFrom, AFolderInThePublishedLayout) {
  const fs::path fixture = golden_dir() / "fixtures" / "base_0";
  const std::vector<std::string> sizes{"model.path=" + (fixture / "backbone").string(),
                                       "text.tokenizer=" + tiny_->file("tokenizer"),
                                       "hypernetwork.lora_rank=2",
                                       "hypernetwork.meta_lora_rank=4",
                                       "hypernetwork.m2p.heads=2",
                                       "hypernetwork.m2p.feedforward=128"};
  std::vector<std::string> from = sizes;
  from.push_back("stage.init_from=" + (fixture / "checkpoint").string());
  const Outcome outcome = one_step("published", from);
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const SafetensorsFile trained(tiny_->folder() / "published/checkpoints/step-1/trained.safetensors");
  const auto published = read_published_checkpoint(fixture / "checkpoint");
  ASSERT_FALSE(published.empty());
  EXPECT_EQ(trained.names().size(), published.size());
  for (const auto& [name, expected] : published) {
    const RawTensor found = trained.tensor(name);
    ASSERT_EQ(found.bytes, expected.bytes) << name;
    EXPECT_EQ(std::memcmp(found.data, expected.data, expected.bytes), 0) << name;
  }
}

TEST_F(InitFrom, ACheckpointOfOtherSizesIsNamedInOneLine) {
  const Outcome outcome =
      one_step("other", {"stage.init_from=" + checkpoint().string(), "hypernetwork.meta_lora_rank=6"});
  EXPECT_EQ(outcome.status, 1);
  const std::size_t start = outcome.err.find("shine_train: error: ");
  ASSERT_NE(start, std::string::npos) << outcome.err;
  const std::string line = outcome.err.substr(start);
  EXPECT_EQ(lines_of(line).size(), 1U) << line;
  for (const std::string& part :
       {checkpoint().string(), std::string("metalora.0.attention.q.A"), std::string("32, 4"), std::string("32, 6"),
        std::string("the weights were trained with hypernetwork.meta_lora_rank=4: copy that")}) {
    EXPECT_NE(line.find(part), std::string::npos) << part << " / " << line;
  }
}

TEST_F(InitFrom, AFolderThatIsNoCheckpoint) {
  for (const std::string& folder : {std::string("/no/such/checkpoint"), tiny_->file("backbone")}) {
    const Outcome outcome = one_step("none", {"stage.init_from=" + folder});
    EXPECT_EQ(outcome.status, 1) << outcome.err;
    EXPECT_NE(outcome.err.find("shine_train: error: "), std::string::npos) << outcome.err;
    EXPECT_NE(outcome.err.find(folder), std::string::npos) << outcome.err;
  }
}

}  // namespace
}  // namespace shine::test
