// The instruction-tuning stages: what they start from, what they train, what they say of their data.
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "integration/tiny_run.h"
#include "shine/io/safetensors.h"

namespace shine::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class StageChain : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    tiny_ = new TinyRun();
    for (const std::string yaml : {"backbone.yaml", "pretrain.yaml", "ift_mqa.yaml"}) {
      if (failure_.empty()) {
        const Outcome outcome = tiny_->train(yaml, {"run.max_steps=4"});
        if (outcome.status != 0) failure_ = yaml + ": " + outcome.err;
      }
    }
  }
  static void TearDownTestSuite() { delete tiny_; }
  void SetUp() override { ASSERT_EQ(failure_, ""); }

  /// Stage ift_1qa in a folder of its own.
  static Outcome one_question(const std::string& name, std::vector<std::string> overrides) {
    overrides.insert(overrides.begin(), {"run.dir=" + tiny_->file(name), "run.max_steps=4"});
    return tiny_->train("ift_1qa.yaml", overrides);
  }

  static SafetensorsFile weights(const std::string& run) {
    return SafetensorsFile(tiny_->folder() / run / "checkpoints/step-4/trained.safetensors");
  }

  static bool equal(const std::string& name, const std::string& run_a, const std::string& run_b) {
    const SafetensorsFile file_a = weights(run_a), file_b = weights(run_b);
    const RawTensor a = file_a.tensor(name), b = file_b.tensor(name);
    return a.bytes == b.bytes && std::memcmp(a.data, b.data, a.bytes) == 0;
  }

  static std::vector<json> events(const std::string& run, const std::string& kind) {
    std::vector<json> found;
    for (const std::string& line : lines_of(read_bytes(tiny_->folder() / run / "metrics.jsonl"))) {
      json event = json::parse(line);
      if (event["kind"] == kind) found.push_back(std::move(event));
    }
    return found;
  }

  static double validation_loss(const std::string& run, std::int64_t step, const std::string& set) {
    for (const json& event : events(run, "validation")) {
      if (event["step"] == step && event["set"] == set) return event["loss"];
    }
    ADD_FAILURE() << run << " has no loss of " << set << " at step " << step;
    return 0;
  }

  static TinyRun* tiny_;
  static std::string failure_;
};

TinyRun* StageChain::tiny_ = nullptr;
std::string StageChain::failure_;

constexpr const char* kMeta = "metalora.0.attention.q.B";
constexpr const char* kExtra = "extra_metalora.1.mlp.down.B";
constexpr const char* kM2p = "metanetwork.transformer_layers.0.linear1.weight";

TEST_F(StageChain, AStageBeginsWithTheWeightsOfTheOneBefore) {
  EXPECT_NEAR(validation_loss("ift_mqa", 0, "no LoRA"), validation_loss("ift_mqa", 4, "no LoRA"), 0);
  ASSERT_EQ(one_question("start", {}).status, 0);
  for (const char* name : {kMeta, kM2p, "mem_tokens"}) {
    EXPECT_FALSE(equal(name, "run", "ift_mqa")) << name;
    EXPECT_FALSE(equal(name, "ift_mqa", "start")) << name;
  }
  ASSERT_EQ(one_question("still", {"run.max_steps=1"}).status, 0);  // the warm-up's first step has rate 0
  const SafetensorsFile before = weights("ift_mqa");
  const SafetensorsFile after(tiny_->folder() / "still/checkpoints/step-1/trained.safetensors");
  const RawTensor a = before.tensor(kM2p), b = after.tensor(kM2p);
  ASSERT_EQ(a.bytes, b.bytes);
  EXPECT_EQ(std::memcmp(a.data, b.data, a.bytes), 0);
}

TEST_F(StageChain, NoStageStartsFromNothingByItself) {
  const auto fault = [&](std::vector<std::string> overrides) {
    const Outcome outcome = one_question("nothing", std::move(overrides));
    EXPECT_EQ(outcome.status, 1);
    EXPECT_FALSE(fs::exists(tiny_->folder() / "nothing/checkpoints"));
    return outcome.err;
  };
  EXPECT_NE(fault({"stage.init_from=null"}).find("`stage.init_from` is missing: stage ift_1qa"), std::string::npos);
  EXPECT_NE(fault({"stage.init_from=/no/such/run"}).find("/no/such/run"), std::string::npos);
  EXPECT_NE(fault({"stage.from_scratch=true"}).find("beside `stage.init_from`"), std::string::npos);
  fs::create_directories(tiny_->folder() / "unfinished");
  fs::copy(tiny_->folder() / "ift_mqa/checkpoints", tiny_->folder() / "unfinished/checkpoints",
           fs::copy_options::recursive);
  const std::string unfinished = "stage.init_from=" + tiny_->file("unfinished");
  EXPECT_NE(fault({unfinished}).find("not finished"), std::string::npos);
  EXPECT_EQ(one_question("allowed", {unfinished, "stage.allow_unfinished=true", "run.max_steps=1"}).status, 0);
  EXPECT_EQ(one_question("scratch", {"stage.init_from=null", "stage.from_scratch=true", "run.max_steps=1"}).status, 0);
}

TEST_F(StageChain, ASecondMetaLoraIsTrainedBesideTheFrozenFirst) {
  ASSERT_EQ(one_question("extra", {"stage.extra_meta_lora_rank=3"}).status, 0);
  EXPECT_TRUE(equal(kMeta, "ift_mqa", "extra"));
  EXPECT_FALSE(equal(kM2p, "ift_mqa", "extra"));
  const SafetensorsFile file = weights("extra");
  const RawTensor extra = file.tensor(kExtra);
  EXPECT_EQ(extra.shape, (std::vector<std::int64_t>{1, 3, 32}));
  const auto* values = reinterpret_cast<const float*>(extra.data);
  EXPECT_TRUE(std::any_of(values, values + 96, [](float value) { return value != 0; })) << "B never left zero";
  // Without a step the new one adds nothing: B is zero.
  EXPECT_NEAR(validation_loss("extra", 0, "questions"), validation_loss("start", 0, "questions"), 1e-5);
}

TEST_F(StageChain, RankZeroFreezesTheFirstMetaLora) {
  ASSERT_EQ(one_question("frozen", {"stage.extra_meta_lora_rank=0"}).status, 0);
  EXPECT_TRUE(equal(kMeta, "ift_mqa", "frozen"));
  EXPECT_FALSE(equal(kM2p, "ift_mqa", "frozen"));
  EXPECT_FALSE(weights("frozen").contains(kExtra));
}

TEST_F(StageChain, AStageAfterASecondMetaLoraJoinsBoth) {
  if (!fs::exists(tiny_->folder() / "extra")) {
    ASSERT_EQ(one_question("extra", {"stage.extra_meta_lora_rank=3"}).status, 0);
  }
  const std::string from = "stage.init_from=" + tiny_->file("extra");
  const Outcome refused = one_question("joined", {from, "hypernetwork.meta_lora_rank=4"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_NE(refused.err.find("set hypernetwork.meta_lora_rank=7"), std::string::npos) << refused.err;
  const Outcome joined = one_question("joined", {from});
  ASSERT_EQ(joined.status, 0) << joined.err;
  EXPECT_NE(joined.err.find("hypernetwork.meta_lora_rank=7: as in " + tiny_->file("extra")), std::string::npos)
      << joined.err;
  EXPECT_FALSE(weights("joined").contains(kExtra));
  EXPECT_NEAR(validation_loss("joined", 0, "questions"), validation_loss("extra", 4, "questions"), 1e-5);
}

TEST_F(StageChain, AResumeEqualsAnUninterruptedRun) {
  const std::vector<std::string> extra{"stage.extra_meta_lora_rank=2", "stage.reconstruction_share=0.5"};
  std::vector<std::string> part = extra;
  part.push_back("run.max_steps=2");
  ASSERT_EQ(one_question("parts", part).status, 0);
  ASSERT_EQ(one_question("parts", extra).status, 0);
  ASSERT_EQ(one_question("whole", extra).status, 0);
  const SafetensorsFile file = weights("whole");
  for (const std::string& name : file.names()) EXPECT_TRUE(equal(name, "parts", "whole")) << name;
}

TEST_F(StageChain, WhatBecameOfTheDataIsInTheMetrics) {
  const Outcome outcome =
      one_question("counts", {"text.conversation_max_length=35", "data.over_long=cut", "run.max_steps=1"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const std::vector<json> data = events("counts", "data");
  ASSERT_FALSE(data.empty());
  EXPECT_EQ(data[0]["set"], "train");
  EXPECT_EQ(data[0]["items"], 40);
  EXPECT_GT(data[0]["samples"], 0);
  EXPECT_EQ(data[0]["samples"].get<int>() + data[0]["dropped"].get<int>(), 80);
  EXPECT_GT(data[0]["conversations_over_long"], 0);
  EXPECT_GT(data[0]["tokens_cut"], 0);
  const Outcome dropped =
      one_question("dropped", {"text.conversation_max_length=18", "data.over_long=drop", "run.max_steps=1"});
  EXPECT_EQ(dropped.status, 1) << "all samples are over the limit";
}

TEST_F(StageChain, LostTokensAreAWarningWithTheNumberAndTheCure) {
  const Outcome outcome = one_question("lost", {"run.max_steps=1"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.err.find(" warning train: "), std::string::npos) << outcome.err;
  const Outcome more =
      one_question("lost-more", {"text.context_max_length=10", "data.over_long=cut", "run.max_steps=1"});
  ASSERT_EQ(more.status, 0) << more.err;
  const std::vector<json> data = events("lost-more", "data");
  ASSERT_FALSE(data.empty());
  EXPECT_NE(more.err.find(" warning train: " + std::to_string(data[0]["tokens_cut"].get<int>()) + " of "),
            std::string::npos)
      << more.err;
  EXPECT_NE(more.err.find("are over the maximum lengths and are cut off or dropped (raise text.context_max_length or "
                          "text.conversation_max_length)"),
            std::string::npos)
      << more.err;
}

TEST_F(StageChain, SizesOfAnEarlierStageReachTheNextAndItsTest) {
  const std::string first = tiny_->file("larger"), second = tiny_->file("larger-mqa");
  const Outcome larger =
      tiny_->train("pretrain.yaml", {"run.dir=" + first, "run.max_steps=3", "hypernetwork.lora_rank=3",
                                     "hypernetwork.m2p.mean_pool_size=2", "hypernetwork.generated_scale=0.01"});
  ASSERT_EQ(larger.status, 0) << larger.err;
  const Outcome next =
      tiny_->train("ift_mqa.yaml", {"run.dir=" + second, "stage.init_from=" + first, "run.max_steps=3"});
  ASSERT_EQ(next.status, 0) << next.err;
  EXPECT_NE(next.err.find("hypernetwork.lora_rank=3, hypernetwork.generated_scale=0.01, "
                          "hypernetwork.m2p.mean_pool_size=2: as in " +
                          first),
            std::string::npos)
      << next.err;
  EXPECT_NE(read_bytes(fs::path(second) / "config.yaml").find("lora_rank: 3\n"), std::string::npos);
  const Outcome again =
      tiny_->train("ift_mqa.yaml", {"run.dir=" + second, "stage.init_from=" + first, "run.max_steps=3"});
  EXPECT_EQ(again.status, 0) << again.err;
  EXPECT_NE(again.err.find("nothing to do"), std::string::npos) << again.err;
  const Outcome test = run_program(
      "shine_test_mqa", {tiny_->file("ift_mqa.yaml"), "run.dir=" + second, "--data", tiny_->file("held_out.jsonl"),
                         "--baselines", "shine", "--limit", "1", "evaluation.decoding.max_new_tokens=2"});
  EXPECT_EQ(test.status, 0) << test.err;
}

TEST_F(StageChain, AContextInTrainingAndValidationIsAnError) {
  const std::string both = "data.validation=[" + tiny_->file("overlap.jsonl") + "]";
  write_bytes(tiny_->folder() / "overlap.jsonl", tiny_questions(39, 2));
  const Outcome outcome = one_question("overlap", {both});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.err.find("note-39"), std::string::npos) << outcome.err;
  EXPECT_EQ(one_question("overlap", {both, "data.check_overlap=false", "run.max_steps=1"}).status, 0);
}

TEST_F(StageChain, ABackboneLearnsFromQuestionsInItsPrompt) {
  const Outcome outcome =
      tiny_->train("backbone.yaml", {"run.dir=" + tiny_->file("reader"), "data.form=questions",
                                     "data.train=[" + tiny_->file("questions.jsonl") + "]", "data.validation_share=0.1",
                                     "text.conversation_max_length=200",
                                     "evaluation.prompts.multi_turn_in_context=\"{context}\"", "run.max_steps=4"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_LT(validation_loss("reader", 4, "questions"), validation_loss("reader", 0, "questions"));
  EXPECT_TRUE(fs::exists(tiny_->folder() / "reader/model/model.safetensors"));
}

}  // namespace
}  // namespace shine::test
