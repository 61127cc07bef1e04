// shine_prepare qa, run as a user does.
#include <gtest/gtest.h>

#include "data/qa/qa_items.h"
#include "integration/run_program.h"

namespace shine {
namespace {

using Words = std::vector<std::string>;

/// shine_prepare qa into out.jsonl and validation.jsonl of the folder.
test::Outcome prepare(const test::TemporaryFolder& folder, const Words& arguments) {
  Words words = {"qa", "--output", (folder.path() / "out.jsonl").string()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return test::run_program("shine_prepare", words);
}

TEST(PrepareQa, WritesOneFormFromAnother) {
  const test::TemporaryFolder folder;
  const std::string input = (folder.path() / "in.json").string();
  test::write_bytes(input, R"([{"_id": "x", "question": "q", "answer": "One", "context": [["t", ["One.", "Two."]]]}])");
  const auto made =
      prepare(folder, {"--from", "hotpotqa", "--sentence-separator", "space", "--source", "s", "--input", input});
  EXPECT_EQ(made.status, 0) << made.err;
  EXPECT_EQ(made.out, "1 items with 1 questions\n" + (folder.path() / "out.jsonl").string() + ": 1 items\n");
  EXPECT_EQ(test::read_bytes(folder.path() / "out.jsonl"),
            R"({"id":"x","source":"s","context":"One. Two.","questions":[{"question":"q","answers":["One"]}]})"
            "\n");
}

TEST(PrepareQa, AFaultIsOneLineAndLeavesNoFile) {
  const test::TemporaryFolder folder;
  const std::string input = (folder.path() / "in.jsonl").string();
  test::write_bytes(input, "{\"context\": \"c\", \"conversations\": []}\n{\"context\": 3, \"conversations\": []}\n");
  const std::vector<std::pair<Words, std::string>> cases = {
      {{"--from", "msmarco_mqa", "--input", input}, input + ":2: context: expected a string, found number"},
      {{"--from", "ift", "--input", input + "x"}, input + "x: cannot open"},
      {{"--from", "squat", "--input", input}, "command line: --from: squat not in {ift,msmarco_mqa,squad,"},
      {{"--from", "squad"}, "command line: --input is required"}};
  for (const auto& [arguments, expected] : cases) {
    const auto outcome = prepare(folder, arguments);
    EXPECT_EQ(outcome.status, 1);
    EXPECT_EQ(test::lines_of(outcome.err).size(), 1U) << outcome.err;
    EXPECT_EQ(outcome.err.find("shine_prepare: error: " + expected), 0U) << outcome.err;
    EXPECT_FALSE(std::filesystem::exists(folder.path() / "out.jsonl"));
  }
}

TEST(PrepareQa, RealData) {
  const auto data = test::shared_dir() / "data";
  const auto squad = data / "squad" / "squad_v2_16_articles.json";
  const auto mctest = data / "mctest";
  if (!std::filesystem::exists(squad) || !std::filesystem::exists(mctest)) GTEST_SKIP() << "no questions in " << data;
  const test::TemporaryFolder folder;
  const std::string validation = (folder.path() / "validation.jsonl").string();
  auto made = prepare(folder, {"--from", "squad", "--input", squad.string(), "--validation-share", "0.1",
                               "--validation-output", validation, "--seed", "1"});
  EXPECT_EQ(made.status, 0) << made.err;
  EXPECT_EQ(test::lines_of(made.out).at(0), "646 items with 2910 questions; left out: 3168 unanswerable questions");
  const auto train = read_qa_items(folder.path() / "out.jsonl");
  const auto held_out = read_qa_items(validation);
  EXPECT_EQ(train.size() + held_out.size(), 646U);
  EXPECT_GE(held_out.size(), 32U);
  EXPECT_NO_THROW(check_contexts_disjoint(train, held_out));

  Words stories = {"--from", "mctest", "--input"};
  for (const char* name :
       {"mc160.train.tsv", "mc160.dev.tsv", "mc160.test.tsv", "mc500.train.tsv", "mc500.dev.tsv", "mc500.test.tsv"}) {
    stories.push_back((mctest / name).string());
  }
  made = prepare(folder, stories);
  EXPECT_EQ(made.status, 0) << made.err;
  EXPECT_EQ(made.out.find("660 items with 2640 questions; kept: "), 0U) << made.out;
  for (const QaItem& item : read_qa_items(folder.path() / "out.jsonl")) {
    EXPECT_EQ(item.context.find('\\'), std::string::npos) << item.id;
    for (const QaQuestion& question : item.questions) EXPECT_NE(question.question.find("one:"), 0U);
  }
}

}  // namespace
}  // namespace shine
