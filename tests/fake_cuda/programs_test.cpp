// Whole programs on the stand-in for CUDA: which rules they break, and how often they launch, wait and allocate.
#include <gtest/gtest.h>

#include <algorithm>
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
  FakeCudaOutcome outcome = run("shine_train", "pretrain.yaml",
                                {"run.max_steps=3", "run.dir=" + tiny_->file("graphs"), "ops.fused=on",
                                 "hypernetwork.cuda_graph=on", "optimizer.pass_tokens=1000"});
  expect_good(outcome);
  EXPECT_GT(outcome.log.totals["replay"], 0);
}

TEST_F(FakeCudaRun, AnswersAreWrittenWithGraphsOfDecodingSteps) {
  ASSERT_EQ(run("shine_train", "pretrain.yaml", {"run.max_steps=1", "run.dir=" + tiny_->file("answers")}).status, 0);
  FakeCudaOutcome outcome = run("shine_test_mqa", "pretrain.yaml",
                                {"run.dir=" + tiny_->file("answers"), "evaluation.decoding.cuda_graph=on",
                                 "evaluation.decoding.max_new_tokens=4", "--baselines", "naive,shine", "--data",
                                 tiny_->file("held_out.jsonl"), "--limit", "2", "--output", tiny_->file("answered")});
  expect_good(outcome);
  EXPECT_GT(outcome.log.totals["replay"], 0);
}

TEST_F(FakeCudaRun, ADriverWithoutAGpuIsSaid) {
  const auto said = [](const std::vector<std::string>& environment) {
    return run_on_fake_cuda("shine_train", {tiny_->file("pretrain.yaml"), "run.device=auto", "--check"}, environment)
        .err;
  };
  const std::string warning = "device auto is the CPU: a CUDA driver is installed, but LibTorch sees no GPU";
  EXPECT_NE(said({"FAKE_CUDA_DEVICES=0"}).find(warning), std::string::npos) << said({"FAKE_CUDA_DEVICES=0"});
  EXPECT_EQ(said({"FAKE_CUDA_DEVICES=0", "CUDA_VISIBLE_DEVICES="}).find(warning), std::string::npos) << "on purpose";
  EXPECT_EQ(said({}).find(warning), std::string::npos);
}

/// Sums that come back are zeros, so the first check of the contract fails; c10d's threads live on.
TEST(FakeCudaRank, EndsWithItsReasonWhenACollectiveIsWrong) {
  const FakeCudaOutcome outcome = run_on_fake_cuda("shine_test_rank", {"gpu", "60", "-"});
  EXPECT_EQ(outcome.status, 2) << outcome.err;
  EXPECT_EQ(outcome.err, "shine_test_rank: internal error: all-reduce 0 of 1 float\n");
}

/// What the third step asks for: the first two fill the allocator's pools.
CudaCounts last_step(const FakeCudaLog& log) {
  std::vector<CudaCounts> steps;
  for (const CudaCounts& part : log.parts) {
    if (part.contains("product")) steps.push_back(part);
  }
  CudaCounts found;
  for (const char* kind : {"kernel", "product", "copy", "wait", "allocation"}) {
    found[kind] = steps.size() > 2 && steps[2].contains(kind) ? steps[2].at(kind) : 0;
  }
  return found;
}

/// A step of bench_step with one micro-batch at the paper's lengths, as the last of three. Exact: who changes what a
/// step asks of the device writes the new figures down, and why in the commit.
class FakeCudaStep : public testing::TestWithParam<const char*> {};

TEST_P(FakeCudaStep, AsksOfTheDeviceWhatTheGoldenFileSays) {
  const json golden = json::parse(read_bytes(golden_dir() / "cuda_step.json"));
  const json& wanted = golden.at(GetParam());
  std::vector<std::string> arguments{"--device", "cuda",     "--dtype", "bfloat16", "--ops",
                                     "0",        "--warmup", "2",       "--steps",  "1"};
  for (const json& word : wanted.at("options")) arguments.push_back(word.get<std::string>());
  const FakeCudaOutcome outcome = run_on_fake_cuda("bench_step", arguments);
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_TRUE(outcome.log.broken.empty()) << outcome.log.broken.front();
  EXPECT_EQ(json(last_step(outcome.log)), wanted.at("step")) << json(last_step(outcome.log));
}

INSTANTIATE_TEST_SUITE_P(Cases, FakeCudaStep, testing::Values("0.6b", "0.6b_references", "0.6b_batch_16", "8b"),
                         [](const auto& tested) {
                           std::string name = tested.param;
                           std::ranges::replace(name, '.', '_');
                           return name;
                         });

}  // namespace
}  // namespace shine::test
