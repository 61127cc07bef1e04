#include "app/evaluate/evaluation_inputs.h"

#include <gtest/gtest.h>

#include "shine/common/error.h"
#include "support/paths.h"

namespace shine::test {
namespace {

namespace fs = std::filesystem;

class EvaluationInputsTest : public testing::Test {
 protected:
  EvaluationInputsTest() {
    config_.model.path = "models/Some-Backbone";
    config_.evaluation.data = {"some/questions.jsonl"};
    config_.run.seed = 5;
  }

  std::string model() const { return report_labels(config_, "mqa", {}).model; }
  WeightsSource checkpoint(const std::string& yaml) const {
    root_.write("config.yaml", yaml);
    return {root_.path(), false, ""};
  }

  TemporaryFolder root_;
  ExperimentConfig config_;
};

TEST_F(EvaluationInputsTest, TheModelIsNamedAfterItsFolderOrTheKey) {
  EXPECT_EQ(model(), "Some-Backbone");
  for (const char* path : {"models/Some-Backbone/", "models/Some-Backbone//", "models/Some-Backbone/.",
                           "/Some-Backbone/", "Some-Backbone"}) {
    config_.model.path = path;
    EXPECT_EQ(model(), "Some-Backbone") << path;
  }
  config_.evaluation.model = "variant/two";
  EXPECT_EQ(model(), "variant/two");
}

TEST_F(EvaluationInputsTest, TheSeedIsThatOfTheCheckpointsTraining) {
  EXPECT_EQ(report_labels(config_, "mqa", {}).seed, 5);
  EXPECT_EQ(report_labels(config_, "mqa", {}).checkpoint, "");
  const WeightsSource published{root_.path(), true, ""};
  EXPECT_EQ(report_labels(config_, "mqa", published).seed, 5) << "it has no config.yaml";
  const WeightsSource own = checkpoint("model: {path: m}\ndata: {train: [a.jsonl]}\nrun: {seed: 7}\n");
  const ReportLabels labels = report_labels(config_, "mqa", own);
  EXPECT_EQ(labels.seed, 7);
  EXPECT_EQ(labels.checkpoint, root_.path().string());
  EXPECT_THROW(report_labels(config_, "mqa", checkpoint("run: {sede: 7}\n")), ConfigError);
}

TEST_F(EvaluationInputsTest, EachMeanLengthIsADataSetOfItsOwn) {
  config_.evaluation.group_tokens = 512;
  EXPECT_EQ(report_labels(config_, "1qa", {}).data_set, "questions-512");
  EXPECT_EQ(report_labels(config_, "mqa", {}).data_set, "questions");
}

}  // namespace
}  // namespace shine::test
