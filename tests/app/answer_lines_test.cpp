#include "app/generate/answer_lines.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "app/generate/read_context.h"
#include "shine/common/error.h"
#include "support/faults.h"
#include "support/paths.h"

namespace shine::test {
namespace {

Answer some_answer() {
  Answer answer;
  answer.method = Method::in_context;
  answer.question = "who \"sold\" it?";
  answer.text = "a\nbaker";
  answer.prompt_ids = {1, 2, 3};
  answer.ids = {4, 5, 6};
  answer.end = AnswerEnd::length;
  answer.first_token_seconds = 0.5;
  answer.seconds = 1.5;
  return answer;
}

TEST(AnswerLinesTest, JsonHasTheNamedMembersInOrder) {
  EXPECT_EQ(answer_json(some_answer()),
            R"({"method":"in_context","question":"who \"sold\" it?","answer":"a\nbaker","prompt_ids":[1,2,3],)"
            R"("answer_ids":[4,5,6],"finish":"length","seconds":1.5})");
  Answer broken = some_answer();
  broken.question = "\xff";
  EXPECT_EQ(nlohmann::json::parse(answer_json(broken)).at("question"), "\xef\xbf\xbd");
}

TEST(AnswerLinesTest, SpeedIsThatOfTheTokensBehindTheFirst) {
  Answer answer = some_answer();
  EXPECT_EQ(answer_speed(answer),
            "prompt 3 tokens, answer 3 tokens, first after 0.500 s, then 2 tokens/s; ended at its longest");
  answer.ids = {4};
  answer.end = AnswerEnd::stop;
  EXPECT_EQ(answer_speed(answer), "prompt 3 tokens, answer 1 tokens, first after 0.500 s");
}

TEST(AnswerLinesTest, CutsAreToldOf) {
  Answer answer = some_answer();
  EXPECT_EQ(answer_cuts(answer), "");
  answer.over_long = true;
  EXPECT_NE(answer_cuts(answer).find("was asked whole"), std::string::npos);
  answer.turns_left_out = 2;
  EXPECT_NE(answer_cuts(answer).find("2 in all"), std::string::npos);
}

TEST(AnswerLinesTest, LabelledAnswersStandInOneColumn) {
  std::string shown;
  const auto write = [&](std::string_view text) { shown += text; };
  AnswerPrinter labelled(write, true);
  labelled.begin(Method::in_context);
  for (const char* piece : {"a", "\n", "", "baker"}) labelled.add(piece);
  labelled.end();
  EXPECT_EQ(shown, "in_context  a\n            baker\n");
  shown.clear();
  AnswerPrinter plain(write, false);
  plain.begin(Method::shine);
  plain.add("a\nbaker");
  plain.end();
  EXPECT_EQ(shown, "a\nbaker\n");
}

TEST(ReadContextTest, IsTheFileWithoutItsLastLineEnds) {
  const TemporaryFolder folder;
  const std::string file = (folder.path() / "note.txt").string();
  write_bytes(file, "\nThe baker\nsold a lamp. \r\n\n");
  EXPECT_EQ(read_context(file), "\nThe baker\nsold a lamp. ");
  EXPECT_THROW(read_context((folder.path() / "nowhere").string()), IoError);
  EXPECT_THROW(read_context(folder.path().string()), IoError);
}

}  // namespace
}  // namespace shine::test
