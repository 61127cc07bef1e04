// Training on token stores: the same as on the files they were written from, resumed on other numbers of ranks too.
#include <gtest/gtest.h>

#include <cmath>

#include "data/store/token_store.h"
#include "integration/compare_runs.h"
#include "integration/mpirun.h"
#include "integration/tiny_run.h"
#include "support/skip.h"

namespace shine::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Words = std::vector<std::string>;

class TrainStore : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    tiny_ = new TinyRun();
    for (const char* yaml : {"backbone.yaml", "pretrain.yaml"}) {
      const Outcome trained = tiny_->train(yaml);
      if (trained.status != 0) throw std::runtime_error(trained.err);
    }
  }
  static void TearDownTestSuite() { delete tiny_; }

  static void write_store(const std::string& input, const std::string& output, const Words& more = {}) {
    Words words{"text",     "--input",           tiny_->file(input), "--tokenizer", tiny_->file("backbone/model"),
                "--output", tiny_->file(output), "--shard-size",     "0.01"};
    words.insert(words.end(), more.begin(), more.end());
    const Outcome made = run_program("shine_prepare", words);
    ASSERT_EQ(made.status, 0) << made.err;
  }

  static Words arguments(const std::string& yaml, const std::string& run, Words overrides) {
    overrides.insert(overrides.begin(), {tiny_->file(yaml), "run.dir=" + tiny_->file(run), "run.threads=1"});
    return overrides;
  }

  static std::string weights(const std::string& run) {
    return read_bytes(tiny_->folder() / run / "checkpoints/step-10/trained.safetensors");
  }

  static TinyRun* tiny_;
};

TinyRun* TrainStore::tiny_ = nullptr;

TEST_F(TrainStore, QuestionsGiveTheSameWeightsAsTheirFile) {
  write_store("questions.jsonl", "questions", {"--questions"});
  EXPECT_GT(TokenStore(tiny_->folder() / "questions").index().shards.size(), 1U);
  for (const std::string stage : {"ift_mqa", "ift_1qa"}) {
    const Words options{"stage.init_from=" + tiny_->file("run"), "stage.reconstruction_share=0.2"};
    Words from_store = options;
    from_store.push_back("data.train=[" + tiny_->file("questions") + "]");
    const Outcome file = run_program("shine_train", arguments(stage + ".yaml", stage + "-file", options));
    ASSERT_EQ(file.status, 0) << file.err;
    const Outcome store = run_program("shine_train", arguments(stage + ".yaml", stage + "-store", from_store));
    ASSERT_EQ(store.status, 0) << store.err;
    EXPECT_TRUE(weights(stage + "-store") == weights(stage + "-file"));
    expect_equal_metrics(tiny_->folder() / (stage + "-store"), tiny_->folder() / (stage + "-file"));
  }
}

/// Contexts of validation that stand in a store are left out, and said.
TEST_F(TrainStore, QuestionsThatAreHeldOutAreNotTrainedOn) {
  write_bytes(tiny_->folder() / "both.jsonl", tiny_questions(0, 46));
  write_store("both.jsonl", "both", {"--questions"});
  const Outcome checked = run_program("shine_train", arguments("ift_mqa.yaml", "checked",
                                                               {"--check", "stage.init_from=" + tiny_->file("run"),
                                                                "data.train=[" + tiny_->file("both") + "]"}));
  ASSERT_EQ(checked.status, 0) << checked.err;
  EXPECT_NE((checked.out + checked.err).find("6 items are held out, or have a context that is"), std::string::npos)
      << checked.out << checked.err;
}

TEST_F(TrainStore, TextsAndQuestionsAreNotTakenForEachOther) {
  write_store("texts.txt", "as-texts");
  const Outcome refused =
      run_program("shine_train",
                  arguments("ift_mqa.yaml", "refused",
                            {"stage.init_from=" + tiny_->file("run"), "data.train=[" + tiny_->file("as-texts") + "]"}));
  EXPECT_EQ(refused.status, 1);
  EXPECT_NE(refused.err.find("the store holds texts, and questions are wanted"), std::string::npos) << refused.err;
}

/// Stopped in the middle of an epoch, the run goes on with the next sample on any number of ranks.
TEST_F(TrainStore, ATextRunResumesInTheMiddleOfAnEpoch) {
  write_store("texts.txt", "texts");
  const Words options{"data.train=[" + tiny_->file("texts") + "]", "data.validation_share=0.05",
                      "optimizer.accumulation=3"};
  const auto train = [&](int ranks, const std::string& run, const Words& more) {
    Words all = options;
    all.insert(all.end(), more.begin(), more.end());
    const Words words = arguments("pretrain.yaml", run, all);
    const Outcome done =
        ranks == 1 ? run_program("shine_train", words) : run_program_on_ranks(ranks, "shine_train", words);
    ASSERT_EQ(done.status, 0) << done.err;
  };
  train(1, "whole", {});
  train(1, "parts", {"run.max_steps=5"});
  train(1, "parts", {});
  expect_equal_checkpoints(tiny_->folder() / "whole", tiny_->folder() / "parts", 10);
  expect_equal_metrics(tiny_->folder() / "whole", tiny_->folder() / "parts");

  const std::string obstacle = obstacle_to_ranks();
  if (!obstacle.empty()) SHINE_SKIP("mpi", obstacle);
  const std::vector<json> expected = events_of(tiny_->folder() / "whole");
  for (const int ranks : {2, 3}) {
    const std::string run = "on-" + std::to_string(ranks);
    train(1, run, {"run.max_steps=5"});
    train(ranks, run, {});
    const std::vector<json> found = events_of(tiny_->folder() / run);
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      for (const char* exact : {"step", "epoch", "labels", "tokens", "samples"}) {
        EXPECT_EQ(found[i].value(exact, 0.0), expected[i].value(exact, 0.0)) << exact << " of " << expected[i].dump();
      }
      if (expected[i].contains("loss")) {
        EXPECT_NEAR(found[i]["loss"].get<double>() / expected[i]["loss"].get<double>(), 1.0, 1e-5);
      }
    }
  }
}

}  // namespace
}  // namespace shine::test
