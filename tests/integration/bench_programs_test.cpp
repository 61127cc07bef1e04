// The benchmark programs run to their end, and write the figures that scripts read.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "integration/run_program.h"

namespace shine::test {
namespace {

using nlohmann::json;

class BenchPrograms : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(bin_dir() / "bench_step")) GTEST_SKIP() << "built without benchmarks";
  }
  std::string file(const char* name) const { return (folder_.path() / name).string(); }
  json written(const char* name) const { return json::parse(read_bytes(file(name))); }

 private:
  TemporaryFolder folder_;
};

TEST_F(BenchPrograms, StepWritesItsFiguresAndATrace) {
  const Outcome outcome =
      run_program("bench_step", {"--size", "tiny", "--steps", "2", "--warmup", "1", "--ops", "3", "--context", "20",
                                 "--conversation", "24", "--json", file("step.json"), "--trace", file("trace.json")});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const json step = written("step.json");
  EXPECT_GT(step.at("tokens_per_second").get<double>(), 0);
  EXPECT_GT(step.at("peak_memory_bytes").get<double>(), 0);
  EXPECT_EQ(step.at("steps").at(0).at("context_tokens"), 40);
  EXPECT_EQ(step.at("steps").at(0).at("conversation_tokens"), 48);
  double parts = 0;
  for (const auto& [part, milliseconds] : step.at("parts").items()) parts += milliseconds.get<double>();
  for (const char* part :
       {"memory_pass", "m2p", "conversation", "head", "memory_pass_backward", "optimizer", "communication"}) {
    EXPECT_TRUE(step.at("parts").contains(part)) << part;
  }
  EXPECT_GT(parts, 0);
  EXPECT_GT(written("trace.json").at("traceEvents").size(), 100U);
}

TEST_F(BenchPrograms, StepSaysHoursOfAStage) {
  const Outcome outcome = run_program("bench_step", {"--size", "tiny", "--steps", "3", "--warmup", "0", "--ops", "0",
                                                     "--stage-steps", "7200", "--json", file("step.json")});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("\nhours of the stage "), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("(7200 steps at the mean of those measured)"), std::string::npos) << outcome.out;
  const json step = written("step.json");
  double seconds = 0;
  for (const json& each : step.at("steps")) seconds += each.at("seconds").get<double>();
  EXPECT_NEAR(step.at("stage_hours").get<double>(), 2 * seconds / 3, 1e-9) << "7200 steps: two hours at 1 s a step";
  EXPECT_EQ(step.at("stage_steps"), 7200);
  EXPECT_NE(run_program("bench_step", {"--size", "tiny", "--stage-steps", "0"}).status, 0);
}

TEST_F(BenchPrograms, ThePlanHoldsTheLengthsOfTheMeasuredSteps) {
  const std::vector<std::string> steps{"--size", "tiny", "--steps", "3", "--warmup", "1", "--ops", "0", "--batch", "2"};
  std::vector<std::string> plan = steps, run = steps;
  plan.insert(plan.end(), {"--plan", file("plan.json")});
  run.insert(run.end(), {"--json", file("step.json")});
  ASSERT_EQ(run_program("bench_step", plan).status, 0);
  ASSERT_EQ(run_program("bench_step", run).status, 0);
  const json planned = written("plan.json"), measured = written("step.json");
  ASSERT_EQ(planned.at("batches").size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    std::int64_t context = 0, conversation = 0;
    for (const json& batch : planned.at("batches").at(i)) {
      for (const json& pair : batch) {
        context += pair.at(0).get<std::int64_t>();
        conversation += pair.at(1).get<std::int64_t>();
      }
    }
    EXPECT_EQ(measured.at("steps").at(i).at("context_tokens"), context);
    EXPECT_EQ(measured.at("steps").at(i).at("conversation_tokens"), conversation);
  }
}

TEST_F(BenchPrograms, StepTakesALimitOfActivations) {
  const Outcome outcome = run_program("bench_step", {"--size", "tiny", "--steps", "1", "--warmup", "0", "--ops", "0",
                                                     "--activation-memory", "1", "--json", file("step.json")});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(written("step.json").at("activation_memory"), 1);
  EXPECT_NE(run_program("bench_step", {"--size", "tiny", "--activation-memory", "-1"}).status, 0);
}

TEST_F(BenchPrograms, StepTakesALimitOfTokensInAPass) {
  const Outcome outcome = run_program("bench_step", {"--size", "tiny", "--steps", "1", "--warmup", "0", "--ops", "0",
                                                     "--pass-tokens", "5000", "--json", file("step.json")});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("passes of up to 5000 tokens"), std::string::npos) << outcome.out;
  EXPECT_EQ(written("step.json").at("pass_tokens"), 5000);
  EXPECT_NE(run_program("bench_step", {"--size", "tiny", "--pass-tokens", "-1"}).status, 0);
}

TEST_F(BenchPrograms, StepTakesTheFormOfTheM2p) {
  const auto run = [&](const std::string& form, const char* name) {
    return run_program("bench_step", {"--size", "tiny", "--steps", "2", "--warmup", "0", "--ops", "0", "--m2p-graph",
                                      form, "--json", file(name)});
  };
  for (const std::string form : {"on", "off"}) {
    const Outcome outcome = run(form, "step.json");
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(written("step.json").at("m2p_graph"), form);
  }
  EXPECT_NE(run("maybe", "none.json").status, 0);
}

TEST_F(BenchPrograms, GenerateLoraWritesItsFiguresAndATrace) {
  const Outcome outcome =
      run_program("bench_generate_lora", {"--size", "tiny", "--batch", "3", "--context", "30", "--repeats", "2",
                                          "--json", file("lora.json"), "--trace", file("trace.json")});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const json found = written("lora.json");
  EXPECT_EQ(found.at("tokens"), 90);
  EXPECT_GT(found.at("tokens_per_second").get<double>(), 0);
  EXPECT_GT(found.at("peak_memory_bytes").get<double>(), 0);
  EXPECT_EQ(found.at("parts").size(), 3U);
  EXPECT_GT(written("trace.json").at("traceEvents").size(), 50U);
}

TEST_F(BenchPrograms, DecodeRunsOnRandomWeights) {
  const Outcome outcome =
      run_program("bench_decode", {"--size", "tiny", "--batch", "2", "--prompt-tokens", "5", "--new-tokens", "4",
                                   "--lora-rank", "2", "--repeats", "1", "--cuda-graph", "on", "--json",
                                   file("decode.json"), "--trace", file("trace.json")});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const json found = written("decode.json");
  EXPECT_GT(found.at("runs").at(0).at("floor_tokens_per_second").get<double>(), 0);
  EXPECT_EQ(found.at("cuda_graph"), "on");
  EXPECT_EQ(found.at("tokens_per_second"), found.at("runs").at(0).at("tokens_per_second"));
  EXPECT_GT(found.at("peak_memory_bytes").get<double>(), 0);
  EXPECT_GT(written("trace.json").at("traceEvents").size(), 50U);
  EXPECT_NE(run_program("bench_decode", {"--size", "tiny", "--model", "x"}).status, 0);
}

TEST(EagerStep, HasTheLossAndTheGradientsOfTheFixture) {
  const auto python = source_dir() / ".venv-tools/bin/python";
  if (!std::filesystem::exists(python)) GTEST_SKIP() << "no .venv-tools";
  for (const char* decoder : {"torch", "transformers"}) {
    const Outcome outcome = run_command({python.string(), "scripts/bench_step.py", "--decoder", decoder, "--check",
                                         (golden_dir() / "fixtures/base_0").string()});
    EXPECT_EQ(outcome.status, 0) << decoder << ": " << outcome.out << outcome.err;
  }
}

}  // namespace
}  // namespace shine::test
