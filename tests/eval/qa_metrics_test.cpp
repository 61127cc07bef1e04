#include "eval/qa/qa_metrics.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "eval/qa/answer_words.h"
#include "support/paths.h"

namespace shine {
namespace {

using Words = std::vector<std::string>;

nlohmann::json golden_scores() {
  std::ifstream file(test::golden_dir() / "eval" / "scores.json");
  return nlohmann::json::parse(file);
}

TEST(QaMetrics, ScoresAreThePublishedOnes) {
  const nlohmann::json golden = golden_scores();
  ASSERT_GT(golden.at("cases").size(), 450U);
  for (const nlohmann::json& row : golden.at("cases")) {
    const auto answer = row[0].get<std::string>();
    const auto right = row[1].get<Words>();
    for (const ScoreForm form : {ScoreForm::squad, ScoreForm::hotpot}) {
      const nlohmann::json& expected = row[form == ScoreForm::squad ? 2 : 3];
      const QaScore score = score_answer(answer, right, form);
      EXPECT_NEAR(score.f1, expected[0].get<double>(), 1e-12) << row;
      EXPECT_EQ(score.exact, expected[1].get<double>()) << row;
    }
  }
}

TEST(QaMetrics, LowerCaseIsPythons) {
  const nlohmann::json golden = golden_scores();
  ASSERT_GT(golden.at("lower").size(), 1000U);
  for (const nlohmann::json& pair : golden.at("lower")) {
    EXPECT_EQ(answer_words(pair[0].get<std::string>()), Words{pair[1].get<std::string>()}) << pair;
  }
}

TEST(QaMetrics, ScoresByHand) {
  const QaScore score = score_answer("the red cat sat", {"dog", "A cat sat down."}, ScoreForm::squad);
  EXPECT_DOUBLE_EQ(score.f1, 2.0 / 3.0);  // two of three words on both sides
  EXPECT_EQ(score.exact, 0.0);
  EXPECT_EQ(score_answer("", {""}, ScoreForm::squad).f1, 1.0);
  EXPECT_EQ(score_answer("", {""}, ScoreForm::hotpot).f1, 0.0);
  EXPECT_EQ(score_answer("", {""}, ScoreForm::hotpot).exact, 1.0);
  EXPECT_EQ(score_answer("yes it is", {"yes"}, ScoreForm::squad).f1, 0.5);
  EXPECT_EQ(score_answer("yes it is", {"yes"}, ScoreForm::hotpot).f1, 0.0);
}

TEST(QaMetrics, NoRightAnswerScoresNothing) {
  for (const char* answer : {"", "x"}) {
    EXPECT_EQ(score_answer(answer, {}, ScoreForm::squad).f1, 0.0);
    EXPECT_EQ(score_answer(answer, {}, ScoreForm::squad).exact, 0.0);
  }
}

TEST(QaMetrics, BytesThatAreNoTextAreOneCharacter) {
  EXPECT_EQ(answer_words("x\xFFy the \xC3"), (Words{"x\xEF\xBF\xBDy", "\xEF\xBF\xBD"}));
}

TEST(QaMetrics, AnswersAreCleaned) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"Paris", "Paris"},
      {"", ""},
      {" \n\t\n", ""},
      {"\n\n  Paris \nLyon", "Paris"},
      {"Paris\r\nLyon", "Paris"},
      {"Answer: Paris", "Paris"},
      {"ANSWER:Paris", "Paris"},
      {"Final Answer: Paris", "Paris"},
      {"answer:\nParis\nLyon", "Paris"},
      {"answer: answer: Paris", "answer: Paris"},
      {"final answer: answer: Paris", "answer: Paris"},
      {"The answer: Paris", "The answer: Paris"},
      {"answer Paris", "answer Paris"},
      {"answer:", ""},
      {"Paris answer: Lyon", "Paris answer: Lyon"},
      {"<think>\nhm\n</think>\n\nParis", "Paris"},
      {"<think>a</think>Answer: <think>b</think>Paris", "Paris"},
      {"Par<think>hm</think>is", "Paris"},
      {"hm, Lyon?\n</think>\nParis", "Paris"},
      {"a</think>b</think>c", "c"},
      {"<think>so long that", ""},
      {"Paris\n<think>or", "Paris"},
      {"<think>a<think>b</think>Paris", "Paris"},
      {"\xC2\xA0Paris\xE3\x80\x80", "Paris"},
  };
  for (const auto& [raw, expected] : cases) EXPECT_EQ(clean_answer(raw), expected) << raw;
}

}  // namespace
}  // namespace shine
