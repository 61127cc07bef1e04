// Whole programs on the stand-in for CUDA: which rules they break, and how often they launch, wait and allocate.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "fake_cuda/fake_cuda_log.h"
#include "integration/tiny_run.h"

namespace shine::test {
namespace {

using nlohmann::json;

class FakeCudaRun : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    tiny_ = new TinyRun();
    backbone_ = tiny_->train_backbone();
  }
  static void TearDownTestSuite() { delete tiny_; }
  void SetUp() override { ASSERT_EQ(backbone_.status, 0) << backbone_.err; }

  /// On the GPU, in bfloat16 as there by default.
  static FakeCudaOutcome run(const std::string& program, const std::string& yaml, std::vector<std::string> more) {
    more.insert(more.begin(), {tiny_->file(yaml), "run.device=cuda", "model.dtype=bfloat16"});
    return run_on_fake_cuda(program, more);
  }
  static void expect_good(const FakeCudaOutcome& outcome) {
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_TRUE(outcome.log.broken.empty()) << outcome.log.broken.front();
    EXPECT_GT(outcome.log.totals.at("kernel"), 100);
    EXPECT_GT(outcome.log.totals.at("product"), 100);
  }

  static TinyRun* tiny_;
  static Outcome backbone_;
};

TinyRun* FakeCudaRun::tiny_ = nullptr;
Outcome FakeCudaRun::backbone_;

TEST_F(FakeCudaRun, TrainingGoesOnWhereItStopped) {
  const FakeCudaOutcome first = run("shine_train", "pretrain.yaml", {"run.max_steps=3"});
  expect_good(first);
  const FakeCudaOutcome rest = run("shine_train", "pretrain.yaml", {"run.max_steps=5"});
  expect_good(rest);
  EXPECT_NE(rest.err.find("step 5/5"), std::string::npos) << rest.err;
  EXPECT_LT(rest.log.totals.at("product"), first.log.totals.at("product")) << "two steps, not five";
}

TEST_F(FakeCudaRun, EveryKernelAndGraphIsLaunchedByTheRules) {
  const FakeCudaOutcome outcome = run("shine_train", "pretrain.yaml",
                                      {"run.max_steps=3", "run.dir=" + tiny_->file("graphs"), "ops.fused=on",
                                       "hypernetwork.cuda_graph=on", "optimizer.pass_tokens=1000"});
  expect_good(outcome);
  EXPECT_GT(outcome.log.totals.at("replay"), 0);
}

TEST_F(FakeCudaRun, TextsAreReadBackWithGraphsOfDecodingSteps) {
  ASSERT_EQ(run("shine_train", "pretrain.yaml", {"run.max_steps=1", "run.dir=" + tiny_->file("read")}).status, 0);
  const FakeCudaOutcome outcome = run("shine_test_pretrain", "pretrain.yaml",
                                      {"run.dir=" + tiny_->file("read"), "evaluation.buckets.first=4",
                                       "evaluation.buckets.last=4", "evaluation.decoding.cuda_graph=on", "--data",
                                       tiny_->file("texts.txt"), "--limit", "2", "--output", tiny_->file("texts")});
  expect_good(outcome);
  EXPECT_GT(outcome.log.totals.at("replay"), 0);
}

/// A step of bench_step's size `tiny` (two layers, two micro-batches, seeded), as the last of three. Exact: who changes
/// what a step launches writes the new figure down, and why in the commit.
class FakeCudaStep : public testing::TestWithParam<const char*> {};

TEST_P(FakeCudaStep, AsksOfTheDeviceWhatTheGoldenFileSays) {
  const json golden = json::parse(read_bytes(golden_dir() / "cuda_step.json"));
  const json& wanted = golden.at(GetParam());
  std::vector<std::string> arguments{"--size", "tiny", "--device", "cuda", "--dtype", "bfloat16",
                                     "--ops",  "0",    "--warmup", "2",    "--steps", "1"};
  for (const json& word : wanted.at("options")) arguments.push_back(word.get<std::string>());
  const FakeCudaOutcome outcome = run_on_fake_cuda("bench_step", arguments);
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_TRUE(outcome.log.broken.empty()) << outcome.log.broken.front();

  std::vector<CudaCounts> steps;
  for (const CudaCounts& part : outcome.log.parts) {
    if (part.contains("product")) steps.push_back(part);
  }
  ASSERT_GE(steps.size(), 3U);
  json found = json::object();
  for (const char* kind : {"kernel", "product", "copy", "wait", "allocation"}) {
    const auto count = steps[2].find(kind);
    found[kind] = count == steps[2].end() ? 0 : count->second;
  }
  EXPECT_EQ(found, wanted.at("step"));
}

INSTANTIATE_TEST_SUITE_P(Cases, FakeCudaStep, testing::Values("default", "kernels", "sixteen_samples"),
                         [](const auto& tested) { return std::string(tested.param); });

}  // namespace
}  // namespace shine::test
