// The program shine_generate: its answers are those of the test programs; adapters; a chat in a terminal; faults.
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "integration/answers.h"
#include "integration/pseudo_terminal.h"
#include "integration/tiny_run.h"

namespace shine::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Ids = std::vector<std::int64_t>;
using Words = std::vector<std::string>;

constexpr const char* kNote = "The baker sold a lamp on day 3.";
constexpr const char* kOther = "The nurse hid a rope on day 9. The judge drew a bell.";

class Generate : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    tiny_ = new TinyRun();
    backbone_ = tiny_->train_backbone();
    run_ = tiny_->train("pretrain.yaml");
    write_bytes(tiny_->folder() / "note.txt", std::string(kNote) + "\n");
    write_bytes(tiny_->folder() / "other.txt", kOther);
    write_bytes(tiny_->folder() / "note.jsonl",
                json{{"id", "note"},
                     {"context", kNote},
                     {"questions",
                      {{{"question", "What did the baker sell?"}, {"answers", {"a lamp"}}},
                       {{"question", "On which day?"}, {"answers", {"day 3"}}}}}}
                        .dump() +
                    "\n");
  }
  static void TearDownTestSuite() { delete tiny_; }
  void SetUp() override {
    ASSERT_EQ(backbone_.status, 0) << backbone_.err;
    ASSERT_EQ(run_.status, 0) << run_.err;
  }

  static Words with(Words words, const Words& more) {
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  /// Options that both programs take.
  static Words common(const Words& more = {}) {
    return with(
        {tiny_->file("pretrain.yaml"), "evaluation.decoding.max_new_tokens=12",
         "evaluation.prompts.multi_turn_naive=Be short.", "evaluation.prompts.multi_turn_in_context='Text: {context}'"},
        more);
  }
  static Words asking(const Words& more) {
    return with(common({"--question", "What did the baker sell?", "--question", "On which day?"}), more);
  }
  static Words about_note(const Words& more = {}) {
    return asking(with({"--checkpoint", tiny_->file("run"), "--context", tiny_->file("note.txt")}, more));
  }

  static std::vector<json> answers(Words words) {
    words.push_back("--json");
    const Outcome outcome = run_program("shine_generate", words);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    std::vector<json> lines;
    for (const std::string& line : lines_of(outcome.out)) lines.push_back(json::parse(line));
    return lines;
  }

  static std::vector<Ids> ids_of(const std::vector<json>& lines) {
    std::vector<Ids> all;
    for (const json& line : lines) all.push_back(line.at("answer_ids").get<Ids>());
    return all;
  }

  static void expect_fault(const Words& words, const std::string& part) {
    const Outcome outcome = run_program("shine_generate", words);
    EXPECT_EQ(outcome.status, 1) << outcome.out;
    EXPECT_EQ(outcome.out, "");
    const std::vector<std::string> lines = lines_of(outcome.err);
    ASSERT_FALSE(lines.empty());
    EXPECT_EQ(lines.back().find("shine_generate: error: "), 0U) << outcome.err;
    EXPECT_NE(lines.back().find(part), std::string::npos) << outcome.err;
  }

  /// (method, turn) to prompt and answer, of prompts.jsonl.
  static std::map<std::pair<std::string, int>, std::pair<Ids, Ids>> tested(const std::string& program,
                                                                           const std::string& output,
                                                                           const Words& more) {
    const Outcome outcome = run_program(
        program, with(common({"--data", tiny_->file("note.jsonl"), "--output", tiny_->file(output), "--prompts",
                              "--baselines", "naive,in_context,shine", "evaluation.batch_size=1"}),
                      more));
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    std::map<std::pair<std::string, int>, std::pair<Ids, Ids>> found;
    std::map<std::string, int> number;
    for (const std::string& line : lines_of(read_bytes(tiny_->folder() / output / "prompts.jsonl"))) {
      const json record = json::parse(line);
      const auto method = record.at("method").get<std::string>();
      found[{method, number[method]++}] = {record.at("prompt_ids").get<Ids>(), record.at("ids").get<Ids>()};
    }
    return found;
  }

  static void expect_equal_ids(const std::string& program, const std::string& output, const Words& options,
                               const Words& own) {
    auto expected = tested(program, output, options);
    EXPECT_EQ(expected.size(), 6U);
    std::map<std::string, int> number;
    for (const json& line : answers(about_note(with(options, with(own, {"--methods", "shine,in_context,naive"}))))) {
      const auto method = line.at("method").get<std::string>();
      const auto& [prompt, ids] = expected[{method, number[method]++}];
      EXPECT_EQ(line.at("prompt_ids").get<Ids>(), prompt) << line;
      EXPECT_EQ(line.at("answer_ids").get<Ids>(), ids) << line;
      EXPECT_FALSE(prompt.empty());
    }
    EXPECT_EQ(number, (std::map<std::string, int>{{"naive", 2}, {"in_context", 2}, {"shine", 2}}));
  }

  static TinyRun* tiny_;
  static Outcome backbone_, run_;
};

TinyRun* Generate::tiny_ = nullptr;
Outcome Generate::backbone_, Generate::run_;

TEST_F(Generate, AnswersAsEveryProgram) {
  expect_usual_answers("shine_generate");
}

TEST_F(Generate, IdsAreThoseOfTheTestPrograms) {
  expect_equal_ids("shine_test_mqa", "mqa", {}, {});
  expect_equal_ids("shine_test_1qa", "1qa", {"evaluation.prompts.question_naive='Question: {question}'"}, {"--alone"});
  expect_equal_ids("shine_test_mqa", "sampled",
                   {"evaluation.decoding.temperature=1.5", "evaluation.decoding.top_k=40", "evaluation.seed=3"}, {});
}

TEST_F(Generate, PeopleReadQuestionsAndAnswersSideBySide) {
  const Outcome outcome = run_program(
      "shine_generate", about_note({"--methods", "naive,shine,shuffled", "--other-context", tiny_->file("other.txt")}));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  for (const char* part :
       {"What did the baker sell?\nnaive       ", "\nshine       ", "\nshuffled    ", "\nOn which day?\n"}) {
    EXPECT_NE(outcome.out.find(part), std::string::npos) << part << "\n" << outcome.out;
  }
  for (const char* part : {"note.txt: ", "adapter of shine ", ": made in ", "adapter of shuffled ", "shine: prompt ",
                           " tokens, first after "}) {
    EXPECT_NE(outcome.err.find(part), std::string::npos) << part << "\n" << outcome.err;
  }
}

TEST_F(Generate, WorksWithoutACheckpointAndWithoutData) {
  const Words bare{"run.dir=" + tiny_->file("no-run"), "evaluation.data=[" + tiny_->file("no-data.jsonl") + "]",
                   "data.train=[" + tiny_->file("no-texts.txt") + "]"};
  const auto lines =
      answers(asking(with(bare, {"--methods", "naive,in_context", "--context", tiny_->file("note.txt")})));
  EXPECT_EQ(lines.size(), 4U);
  expect_fault(asking(with(bare, {"--context", tiny_->file("note.txt")})), "trained weights are needed");
}

TEST_F(Generate, TheContextMayBeStandardInput) {
  const auto expected = ids_of(answers(about_note()));
  std::string command = quoted((bin_dir() / "shine_generate").string());
  for (const std::string& word : asking({"--checkpoint", tiny_->file("run"), "--context", "-", "--json"})) {
    command += ' ' + quoted(word);
  }
  const Outcome outcome = run_command({"sh", "-c", command + " < " + quoted(tiny_->file("note.txt"))});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  std::vector<json> lines;
  for (const std::string& line : lines_of(outcome.out)) lines.push_back(json::parse(line));
  EXPECT_EQ(ids_of(lines), expected);
}

TEST_F(Generate, AChatInATerminal) {
  const std::string saved = tiny_->file("saved");
  TerminalProgram chat("shine_generate", common({"--chat", "--checkpoint", tiny_->file("run"), "--methods",
                                                 "naive,shine", "evaluation.decoding.cache=false", "run.device=cpu"}));
  ASSERT_TRUE(chat.wait_for("> ")) << chat.shown();
  chat.press("/context " + tiny_->file("note.txt") + "\r");
  ASSERT_TRUE(chat.wait_for("adapter of shine ")) << chat.shown();
  ASSERT_TRUE(chat.wait_for("> ")) << chat.shown();
  chat.press("What did the baker sell?\r");
  ASSERT_TRUE(chat.wait_for("shine       ")) << chat.shown();
  ASSERT_TRUE(chat.wait_for("> ")) << chat.shown();
  // As typed; mended at its end; at its beginning; the line before once more.
  for (const char* keys : {"/stats\r", "/statz\x08s\r", "/tats\x01\x06s\r", "\x10\r"}) {
    chat.press(keys);
    ASSERT_TRUE(chat.wait_for("naive: prompt ")) << chat.shown();
    ASSERT_TRUE(chat.wait_for("> ")) << chat.shown();
  }
  chat.press("half a line\x03");
  ASSERT_TRUE(chat.wait_for("(Ctrl-C again, Ctrl-D or /quit to leave)")) << chat.shown();
  chat.press("/save " + saved + "\r");
  ASSERT_TRUE(chat.wait_for(": the adapter in PEFT's form")) << chat.shown();
  ASSERT_TRUE(chat.wait_for("> ")) << chat.shown();
  chat.press("\x03");
  ASSERT_TRUE(chat.wait_for("to leave)")) << chat.shown();
  chat.press("\x03");
  EXPECT_EQ(chat.wait(), 0) << chat.shown();
  EXPECT_EQ(ids_of(answers(asking({"--adapter", saved}))), ids_of(answers(about_note())));
}

TEST_F(Generate, CtrlCStopsAnAnswerAndNotTheProgram) {
  // Every token is computed anew and none ends the answer: it takes a while.
  TerminalProgram chat("shine_generate",
                       common({"--chat", "--methods", "naive,in_context", "--context", tiny_->file("note.txt"),
                               "evaluation.decoding.cache=false", "evaluation.decoding.max_new_tokens=150",
                               "evaluation.decoding.stop=[<RECON>]"}));
  ASSERT_TRUE(chat.wait_for("> ")) << chat.shown();
  chat.press("Who?\r");
  ASSERT_TRUE(chat.wait_for("naive       ")) << chat.shown();
  chat.press("\x03");
  ASSERT_TRUE(chat.wait_for("(stopped)")) << chat.shown();
  ASSERT_TRUE(chat.wait_for("> ")) << chat.shown();
  EXPECT_EQ(chat.shown().find("in_context  "), std::string::npos) << "the others are not asked: " << chat.shown();
  chat.press("/stats\r");
  ASSERT_TRUE(chat.wait_for("naive: prompt ")) << chat.shown();
  ASSERT_TRUE(chat.wait_for("> ")) << chat.shown();
  chat.press("\x04");
  EXPECT_EQ(chat.wait(), 0) << chat.shown();
}

TEST_F(Generate, WithoutATerminalAChatReadsLines) {
  std::string command =
      "printf '/methods naive\\nWho?\\n/nonsense\\n' | " + quoted((bin_dir() / "shine_generate").string());
  for (const std::string& word : common({"--chat", "--methods", "naive"})) command += ' ' + quoted(word);
  const Outcome outcome = run_command({"sh", "-c", command});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.out.find("> "), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("error: there is no command /nonsense"), std::string::npos) << outcome.out;
}

TEST_F(Generate, FaultsAreOneClearLine) {
  expect_fault(about_note({"--methods", "sft"}), "method sft: expected naive, in_context, shine or shuffled");
  expect_fault(common({"--context", tiny_->file("note.txt")}), "there is nothing to ask");
  expect_fault(asking({"--context", tiny_->file("nowhere.txt")}), "nowhere.txt");
  expect_fault(asking({"--adapter", tiny_->file("nowhere")}), "nowhere");
  expect_fault(asking({"--adapter", tiny_->file("a"), "--checkpoint", tiny_->file("run")}),
               "--checkpoint has no effect without a LoRA to generate (remove it)");
  expect_fault(about_note({"evaluation.context_max_length=5"}), "or cut it by --over-long cut)");
  const Outcome cut =
      run_program("shine_generate", about_note({"evaluation.context_max_length=5", "--over-long", "cut"}));
  EXPECT_EQ(cut.status, 0) << cut.err;
  EXPECT_NE(cut.err.find(" tokens of its context cut (--over-long cut)"), std::string::npos) << cut.err;
  expect_fault({tiny_->file("backbone.yaml"), "--methods", "naive", "--question", "Who?"},
               "`stage.name` is backbone: its YAML names no model to ask");
}

}  // namespace
}  // namespace shine::test
