// shine_test_mqa and shine_test_1qa on a model of seconds: what they print and write, stopping and going on, faults.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "integration/answers.h"
#include "integration/tiny_run.h"
#include "shine/app/experiment_config.h"

namespace shine::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// Contexts like the training texts, two questions each; every second one has conversations for SFT.
std::string questions(int count) {
  std::string lines;
  for (int i = 0; i < count; ++i) {
    const std::string number = std::to_string(i);
    json item{{"id", "note-" + number},
              {"source", "tiny"},
              {"context", "The baker sold a lamp on day " + number + "."},
              {"questions",
               {{{"question", "What did the baker sell?"}, {"answers", {"a lamp", "lamp"}}},
                {{"question", "On which day?"}, {"answers", {"day " + number}}}}}};
    if (i % 2 == 0) {
      item["sft_conversations"] = {
          {{{"role", "user"}, {"content", "Who sold it?"}}, {{"role", "assistant"}, {"content", "The baker"}}}};
    }
    lines += item.dump() + "\n";
  }
  return lines;
}

class QaTestPrograms : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    tiny_ = new TinyRun();
    backbone_ = tiny_->train_backbone();
    pretrain_ = tiny_->train("pretrain.yaml");
    write_bytes(tiny_->folder() / "questions.jsonl", questions(6));
  }
  static void TearDownTestSuite() { delete tiny_; }
  void SetUp() override {
    ASSERT_EQ(backbone_.status, 0) << backbone_.err;
    ASSERT_EQ(pretrain_.status, 0) << pretrain_.err;
  }

  static std::vector<std::string> arguments(const std::string& output, std::vector<std::string> more = {}) {
    std::vector<std::string> all{tiny_->file("pretrain.yaml"),
                                 "--data",
                                 tiny_->file("questions.jsonl"),
                                 "--output",
                                 tiny_->file(output),
                                 "evaluation.decoding.max_new_tokens=8",
                                 "evaluation.sft.epochs=1",
                                 "evaluation.batch_size=4",
                                 "evaluation.prompts.multi_turn_naive=Be short.",
                                 "evaluation.prompts.multi_turn_in_context='Text: {context}'"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  static Outcome mqa(const std::string& output, std::vector<std::string> more = {}) {
    return run_program("shine_test_mqa", arguments(output, std::move(more)));
  }
  static Outcome one_qa(const std::string& output, std::vector<std::string> more = {}) {
    return run_program("shine_test_1qa", arguments(output, std::move(more)));
  }
  static std::string read(const std::string& output, const std::string& name) {
    return read_bytes(tiny_->folder() / output / name);
  }

  /// The lines of answers.jsonl without what a clock or a memory gauge gives.
  static std::vector<std::string> results_of(const std::string& output) {
    std::vector<std::string> lines;
    for (const std::string& line : lines_of(read(output, "answers.jsonl"))) {
      json record = json::parse(line);
      for (const char* key : {"prepare_seconds", "answer_seconds", "peak_bytes"}) record.erase(key);
      lines.push_back(record.dump());
    }
    return lines;
  }

  static void expect_fault(const Outcome& outcome, const std::string& part) {
    EXPECT_EQ(outcome.status, 1) << outcome.err;
    const std::vector<std::string> lines = lines_of(outcome.err);
    ASSERT_FALSE(lines.empty());
    EXPECT_NE(lines.back().find("error: "), std::string::npos) << outcome.err;
    EXPECT_NE(lines.back().find(part), std::string::npos) << outcome.err;
  }

  static TinyRun* tiny_;
  static Outcome backbone_, pretrain_;
};

TinyRun* QaTestPrograms::tiny_ = nullptr;
Outcome QaTestPrograms::backbone_, QaTestPrograms::pretrain_;

TEST_F(QaTestPrograms, UsualAnswers) {
  expect_usual_answers("shine_test_mqa");
  expect_usual_answers("shine_test_1qa");
}

TEST_F(QaTestPrograms, AUsersFileHasItsOwnNameAndFolder) {
  write_bytes(tiny_->folder() / "squad.yaml",
              "base: pretrain.yaml\nevaluation: {data: [squad.jsonl], data_set: squad}\n");
  const Outcome outcome =
      run_program("shine_test_mqa", {tiny_->file("squad.yaml"), "--data", tiny_->file("questions.jsonl"), "--baselines",
                                     "naive", "--limit", "1", "evaluation.decoding.max_new_tokens=2"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.out.find("squad"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("\nresults: " + tiny_->file("run") + "/evaluation/mqa-questions"), std::string::npos)
      << outcome.out;
}

TEST_F(QaTestPrograms, ContextsThatWereTrainedOnAreAWarning) {
  const std::string text = "The sailor found a rope on day 1.";  // of texts.txt
  write_bytes(tiny_->folder() / "seen.jsonl",
              R"({"context": ")" + text +
                  R"(", "questions": [{"question": "Who?", "answers": ["The sailor"]}]})"
                  "\n");
  std::vector<std::string> words = arguments("seen", {"--baselines", "shine"});
  words[2] = tiny_->file("seen.jsonl");
  const Outcome seen = run_program("shine_test_mqa", words);
  ASSERT_EQ(seen.status, 0) << seen.err;
  EXPECT_NE(seen.err.find(" warning 1 of 1 test contexts are training data of stage pretrain ("), std::string::npos)
      << seen.err;
  EXPECT_NE(read("seen", "log.txt").find("1 of 1 test contexts are training data"), std::string::npos);
  words[4] = tiny_->file("unread");
  words.back() = "naive";
  EXPECT_EQ(run_program("shine_test_mqa", words).err.find("training data"), std::string::npos) << "no weights";
}

TEST_F(QaTestPrograms, AllMethodsTurnByTurn) {
  const Outcome outcome = mqa("all", {"--baselines", "naive,in_context,sft,shine,shuffled", "--prompts"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  std::map<std::string, int> answers, contexts;
  for (const std::string& line : lines_of(read("all", "answers.jsonl"))) {
    const json record = json::parse(line);
    const std::string method = record.at("method");
    EXPECT_NE(outcome.out.find(method), std::string::npos) << outcome.out;
    (record.at("kind") == "answer" ? answers : contexts)[method] += 1;
    if (record.at("kind") == "context" && method == "shine") {
      EXPECT_GT(record.at("prepare_seconds").get<double>(), 0);
    }
  }
  EXPECT_EQ(answers, (std::map<std::string, int>{
                         {"naive", 12}, {"in_context", 12}, {"sft", 6}, {"shine", 12}, {"shuffled", 12}}));
  EXPECT_EQ(contexts,
            (std::map<std::string, int>{{"naive", 6}, {"in_context", 6}, {"sft", 3}, {"shine", 6}, {"shuffled", 6}}));
  EXPECT_NE(outcome.err.find("sft: 3 of 6 contexts left out, the first is note-1: no sft_conversations"),
            std::string::npos)
      << outcome.err;
  EXPECT_NE(outcome.err.find(": 12 questions about 6 contexts"), std::string::npos) << outcome.err;
  EXPECT_EQ(lines_of(read("all", "prompts.jsonl")).size(), 54U);
  EXPECT_FALSE(read("all", "log.txt").empty());
  EXPECT_NE(outcome.out.find(read("all", "report.md")), std::string::npos);
  EXPECT_TRUE(json::parse(read("all", "summary.json")).is_object());
  const fs::path resolved = tiny_->folder() / "all/config.yaml";
  EXPECT_EQ(experiment_yaml(load_experiment_config(resolved, {}, nullptr, ConfigUse::test)), read_bytes(resolved));

  const Outcome again = mqa("all", {"--baselines", "naive,in_context,sft,shine,shuffled"});
  expect_fault(again, "the folder holds results already, in answers.jsonl");
  const std::string before = read("all", "answers.jsonl");
  const Outcome resumed = mqa("all", {"--baselines", "naive,in_context,sft,shine,shuffled", "--resume"});
  EXPECT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_EQ(read("all", "answers.jsonl"), before);
  EXPECT_EQ(resumed.out, outcome.out);
  expect_fault(mqa("all", {"--baselines", "naive", "--resume"}), "evaluation.baselines");
}

TEST_F(QaTestPrograms, StoppedAndGoneOnEqualsOneGo) {
  const std::vector<std::string> longer{"evaluation.batch_size=1", "evaluation.decoding.max_new_tokens=60",
                                        "evaluation.decoding.stop=[<RECON>]", "--prompts"};
  ASSERT_EQ(mqa("whole", longer).status, 0);
  {
    BackgroundProgram run("shine_test_mqa", arguments("parts", longer));
    ASSERT_TRUE(run.wait_until([&] { return lines_of(read("parts", "answers.jsonl")).size() >= 4; })) << run.err();
    run.signal(SIGTERM);
    ASSERT_EQ(run.wait(), 75) << run.err();
    EXPECT_NE(run.err().find("--resume to go on"), std::string::npos) << run.err();
  }
  EXPECT_LT(results_of("parts").size(), results_of("whole").size());
  // What a crash can leave besides: a context's answers without its line, and half a line.
  write_bytes(tiny_->folder() / "parts/answers.jsonl", read("parts", "answers.jsonl") + "{\"kind\": \"ans");
  std::vector<std::string> resume = longer;
  resume.push_back("--resume");
  const Outcome rest = mqa("parts", resume);
  ASSERT_EQ(rest.status, 0) << rest.err;
  EXPECT_NE(rest.err.find("going on: "), std::string::npos) << rest.err;
  EXPECT_EQ(results_of("parts"), results_of("whole"));
  EXPECT_EQ(read("parts", "prompts.jsonl"), read("whole", "prompts.jsonl"));

  const std::string prompts = read("parts", "prompts.jsonl"), answers = read("parts", "answers.jsonl");
  write_bytes(tiny_->folder() / "parts/prompts.jsonl", prompts.substr(0, prompts.find('\n') + 1));
  expect_fault(mqa("parts", resume), "prompts.jsonl has the prompts of 1 answers");
  EXPECT_EQ(read("parts", "answers.jsonl"), answers);
}

TEST_F(QaTestPrograms, AJudgeThatFailsCostsNoReport) {
  const std::vector<std::string> naive{"--baselines", "naive", "--limit", "2"};
  const auto judged = [&](const std::string& command) {
    std::vector<std::string> more = naive;
    more.insert(more.end(), {"--resume", "evaluation.judge=" + command});
    return mqa("judged", more);
  };
  expect_fault(judged("exit 3"), "the command ended with status 3");
  const std::string report = read("judged", "report.md");
  EXPECT_NE(report.find("naive"), std::string::npos) << report;
  EXPECT_FALSE(fs::exists(tiny_->folder() / "judged/judge.jsonl"));

  const Outcome outcome = judged("sed 's/.*/0.5/'");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(lines_of(read("judged", "judge.jsonl")).size(), 4U);
  EXPECT_NE(read("judged", "report.md"), report);
}

TEST_F(QaTestPrograms, GroupedContextsAndALimit) {
  const Outcome outcome = one_qa("grouped", {"evaluation.group_tokens=40", "--limit", "7"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  std::set<std::string> items;
  int naive = 0;
  for (const std::string& line : lines_of(read("grouped", "answers.jsonl"))) {
    const json record = json::parse(line);
    items.insert(record.at("item").get<std::string>());
    naive += record.at("kind") == "answer" && record.at("method") == "naive" ? 1 : 0;
  }
  EXPECT_EQ(naive, 7);
  EXPECT_TRUE(std::any_of(items.begin(), items.end(),
                          [](const std::string& item) { return item.find('+') != std::string::npos; }));
  EXPECT_NE(outcome.err.find("7 questions about"), std::string::npos) << outcome.err;
}

TEST_F(QaTestPrograms, APublishedCheckpoint) {
  const fs::path fixture = golden_dir() / "fixtures" / "base_0";
  const std::vector<std::string> sizes{"model.path=" + (fixture / "backbone").string(),
                                       "text.tokenizer=" + tiny_->file("tokenizer"),
                                       "hypernetwork.lora_rank=2",
                                       "hypernetwork.meta_lora_rank=4",
                                       "hypernetwork.m2p.heads=2",
                                       "hypernetwork.m2p.feedforward=128",
                                       "--limit",
                                       "2",
                                       "--checkpoint",
                                       (fixture / "checkpoint").string()};
  const Outcome outcome = one_qa("published", sizes);
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("published layout"), std::string::npos) << outcome.err;
}

TEST_F(QaTestPrograms, MethodsWithoutALoraNeedNoCheckpoint) {
  const Outcome naive = mqa("bare", {"run.dir=" + tiny_->file("no-run"), "--baselines", "naive,in_context,sft"});
  EXPECT_EQ(naive.status, 0) << naive.err;
  expect_fault(mqa("none", {"run.dir=" + tiny_->file("no-run")}), "trained weights are needed");
  EXPECT_FALSE(fs::exists(tiny_->folder() / "none"));
}

TEST_F(QaTestPrograms, ACheckpointOfAnotherBackboneNamesItsShapes) {
  const std::string other = (golden_dir() / "fixtures" / "base_0" / "checkpoint").string();
  expect_fault(mqa("other", {"--checkpoint", other}), "mem_tokens");
}

TEST_F(QaTestPrograms, BadInputIsOneLine) {
  const auto with_data = [&](const std::string& name, const std::string& text) {
    write_bytes(tiny_->folder() / (name + ".jsonl"), text);
    return run_program("shine_test_mqa", {tiny_->file("pretrain.yaml"), "--data", tiny_->file(name + ".jsonl"),
                                          "--output", tiny_->file("out-" + name)});
  };
  expect_fault(with_data("broken", questions(2) + "{\"id\": \n"), "broken.jsonl:3");
  expect_fault(with_data("unanswered", R"({"context": "c", "questions": [{"question": "q", "answers": []}]})"),
               "unanswered.jsonl:1");
  expect_fault(mqa("best", {"--baselines", "best"}), "`best`");
  expect_fault(mqa("stop", {"evaluation.decoding.stop=[<|no_such_token|>]"}), "<|no_such_token|>");
  expect_fault(run_program("shine_test_mqa", {tiny_->file("pretrain.yaml")}), "`evaluation.data` is missing");
  expect_fault(mqa("single", {"--limit", "1", "--baselines", "shuffled"}), "there is only one");
}

TEST_F(QaTestPrograms, TooLongContextsAreLeftOutAndCounted) {
  std::string lines = questions(1);
  json item = json::parse(lines);
  item["id"] = "long";
  std::string text;
  for (int i = 0; i < 400; ++i) text += "zq" + std::to_string(i) + " ";
  item["context"] = text;
  write_bytes(tiny_->folder() / "long.jsonl", lines + item.dump() + "\n");
  const Outcome outcome =
      run_program("shine_test_mqa",
                  {tiny_->file("pretrain.yaml"), "--data", tiny_->file("long.jsonl"), "--output", tiny_->file("long"),
                   "evaluation.decoding.max_new_tokens=4", "evaluation.prompts.multi_turn_naive=''",
                   "evaluation.prompts.multi_turn_in_context='{context}'"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("in_context: 1 of 2 contexts left out, the first is long: a prompt fills the model's 256 "
                             "positions"),
            std::string::npos)
      << outcome.err;
  EXPECT_NE(outcome.err.find("shine: 1 contexts cut before their LoRA was generated"), std::string::npos)
      << outcome.err;
  EXPECT_NE(outcome.err.find("2 of 4 questions have no right answer that occurs in their context"), std::string::npos)
      << outcome.err;
}

}  // namespace
}  // namespace shine::test
