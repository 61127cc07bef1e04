#include "app/evaluate/results_folder.h"

#include <gtest/gtest.h>

#include "io/files/text_file.h"
#include "shine/common/error.h"
#include "support/faults.h"
#include "support/paths.h"

namespace shine::test {
namespace {

namespace fs = std::filesystem;

class ResultsFolderTest : public testing::Test {
 protected:
  ResultsFolderTest() {
    identity_.config.model.path = identity_.config.text.tokenizer = "m";
    identity_.config.evaluation.data = {"some/questions.jsonl"};
  }

  fs::path folder() const { return root_.path() / "a" / "results"; }
  void open(bool resume) const { ResultsFolder(folder(), identity_, "answers.jsonl", resume); }
  std::string fault(bool resume) const {
    return fault_of<Error>([&] { open(resume); });
  }
  void write_results(const std::string& text) const { write_bytes(folder() / "answers.jsonl", text); }

  TemporaryFolder root_;
  EvaluationIdentity identity_{"shine_test_mqa", {}, {{"data", "1"}, {"backbone", "2"}}};
};

TEST_F(ResultsFolderTest, ResultsAreNotOverwritten) {
  open(false);
  EXPECT_EQ(fault(false), "") << "a folder without results";
  write_results("");
  EXPECT_EQ(fault(false), "");
  write_results("line\n");
  EXPECT_NE(fault(false).find("the folder holds results already, in answers.jsonl"), std::string::npos);
  EXPECT_NE(fault(false).find("--resume"), std::string::npos);
  EXPECT_EQ(fault(true), "");
  EXPECT_EQ(read_text_file(folder() / "answers.jsonl"), "line\n");
}

TEST_F(ResultsFolderTest, ResumeWithoutResultsStarts) {
  EXPECT_EQ(fault(true), "");
  EXPECT_FALSE(ResultsFolder(folder(), identity_, "answers.jsonl", true).goes_on());
  write_results("line\n");
  EXPECT_TRUE(ResultsFolder(folder(), identity_, "answers.jsonl", true).goes_on());
}

TEST_F(ResultsFolderTest, AnotherTestIsRefusedByName) {
  open(false);
  write_results("line\n");
  const EvaluationIdentity usual = identity_;
  identity_.fingerprints["data"] = "3";
  EXPECT_NE(fault(true).find("of another test: content of data"), std::string::npos) << fault(true);
  identity_ = usual;
  identity_.program = "shine_test_1qa";
  EXPECT_NE(fault(true).find("program: shine_test_mqa -> shine_test_1qa"), std::string::npos) << fault(true);
  identity_ = usual;
  identity_.config.evaluation.decoding.temperature = 0.5;
  EXPECT_NE(fault(true).find("evaluation.decoding.temperature: 0 -> 0.5"), std::string::npos) << fault(true);
  identity_ = usual;
  identity_.config.evaluation.bootstrap = 7;
  identity_.config.logging.every_steps = 5;
  identity_.config.data.train = {"t.jsonl"};
  identity_.config.evaluation.model = "another name";
  identity_.config.evaluation.decoding.cache = false;
  identity_.config.run.rank_timeout = 5;
  identity_.config.run.max_steps = 3;
  identity_.config.validation.max_samples = 3;
  EXPECT_EQ(fault(true), "");
}

TEST_F(ResultsFolderTest, OneProcessAtATime) {
  const ResultsFolder first(folder(), identity_, "answers.jsonl", false);
  EXPECT_NE(fault(true).find("another process tests in this folder"), std::string::npos);
}

TEST_F(ResultsFolderTest, TheFolderIsNamedAfterTestAndData) {
  identity_.config.run.dir = "runs/x";
  EXPECT_EQ(results_path(identity_.config, "mqa"), "runs/x/evaluation/mqa-questions");
  identity_.config.evaluation.data_set = "squad";
  EXPECT_EQ(results_path(identity_.config, "1qa"), "runs/x/evaluation/1qa-squad");
  identity_.config.evaluation.group_tokens = 512;
  EXPECT_EQ(results_path(identity_.config, "1qa"), "runs/x/evaluation/1qa-squad-512");
  EXPECT_EQ(results_path(identity_.config, "mqa"), "runs/x/evaluation/mqa-squad") << "its contexts are not joined";
  identity_.config.evaluation.data_set = "";
  EXPECT_EQ(results_path(identity_.config, "1qa"), "runs/x/evaluation/1qa-questions-512");
  identity_.config.evaluation.output = "elsewhere";
  EXPECT_EQ(results_path(identity_.config, "1qa"), "elsewhere");
}

}  // namespace
}  // namespace shine::test
