// The committed backbone of the small world: it answers from a note in its prompt, and cannot without.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "integration/run_program.h"

namespace shine::test {
namespace {

TEST(TinyWorldBackbone, AnswersFromANoteInItsPromptAlone) {
  const TemporaryFolder folder;
  const std::string notes = (folder.path() / "notes").string();
  const Outcome made = run_program(
      "shine_prepare", {"tiny-world", "--notes", "1", "--validation", "40", "--seed", "11", "--output", notes});
  ASSERT_EQ(made.status, 0) << made.err;
  for (const auto& [test, stage] : {std::pair{"mqa", "ift_mqa"}, std::pair{"1qa", "ift_1qa"}}) {
    const std::filesystem::path results = folder.path() / test;
    const Outcome tested = run_program(
        std::string("shine_test_") + test,
        {std::string("configs/tiny-world/") + stage + ".yaml", "--data", notes + "/validation.jsonl", "--baselines",
         "naive,in_context", "--output", results.string(), "evaluation.batch_size=40", "run.device=cpu"});
    ASSERT_EQ(tested.status, 0) << tested.err;
    const auto summary = nlohmann::json::parse(read_bytes(results / "summary.json"));
    ASSERT_EQ(summary["methods"].size(), 2U);
    for (const auto& method : summary["methods"]) {
      const double exact = method["exact"][0];
      EXPECT_GE(method["questions"], 100);
      if (method["method"] == "naive") {
        EXPECT_LE(exact, 0.2) << test;
      } else {
        EXPECT_GE(exact, 0.95) << test;
      }
    }
  }
}

}  // namespace
}  // namespace shine::test
