#include "eval/report/report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "io/files/text_file.h"
#include "shine/common/error.h"
#include "support/paths.h"

namespace shine {
namespace {

/// Adds one answer for each F1; an F1 of 1 is an exact match.
void add_conversation(EvaluationResults& results, Method method, const std::string& item, std::int64_t conversation,
                      const std::vector<double>& f1) {
  for (std::size_t turn = 0; turn < f1.size(); ++turn) {
    AnswerRecord record;
    record.method = method;
    record.item = item;
    record.conversation = conversation;
    record.turn = static_cast<std::int64_t>(turn);
    record.f1 = f1[turn];
    record.exact = f1[turn] == 1.0 ? 1.0 : 0.0;
    record.prompt_hash = "p" + item + std::to_string(turn);
    record.decoding_hash = "d";
    results.answers.push_back(record);
  }
}

/// Adds a context with one conversation.
void add_context(EvaluationResults& results, Method method, const std::string& item, const std::vector<double>& f1) {
  add_conversation(results, method, item, /*conversation=*/0, f1);
  ContextRecord context;
  context.method = method;
  context.item = item;
  context.prepare_seconds = method == Method::shine ? 0.5 * static_cast<double>(results.contexts.size()) : 0.0;
  context.context_tokens = 100 * static_cast<std::int64_t>(results.contexts.size());
  context.answer_seconds = 2.0;
  context.peak_bytes = std::int64_t{3} << 20;
  context.sft_loss = std::numeric_limits<double>::quiet_NaN();
  results.contexts.push_back(context);
}

/// shine: 1, 0.5 about a and 0.25 about b; naive: 0, 0.5 about a and 0.25, 1 about b, one question of which shine was
/// not asked.
EvaluationResults small_results() {
  EvaluationResults results;
  add_context(results, Method::shine, "a", {1.0, 0.5});
  add_context(results, Method::shine, "b", {0.25});
  add_context(results, Method::naive, "a", {0.0, 0.5});
  add_context(results, Method::naive, "b", {0.25, 1.0});
  return results;
}

ReportOptions small_options() {
  ReportOptions options;
  options.labels = {"tiny", "notes", "runs/x", 7};
  options.bootstrap = 200;
  options.seed = 3;
  return options;
}

TEST(Report, MeansAreOverQuestionsAndCostsOverContexts) {
  const EvaluationReport report = make_report(small_results(), small_options());
  ASSERT_EQ(report.methods.size(), 2U);
  const MethodReport& naive = report.methods[0];
  const MethodReport& shine = report.methods[1];
  EXPECT_EQ(naive.method, Method::naive);
  EXPECT_EQ(naive.contexts, 2);
  EXPECT_EQ(naive.questions, 4);
  EXPECT_DOUBLE_EQ(naive.f1.mean, 1.75 / 4);
  EXPECT_DOUBLE_EQ(naive.exact.mean, 0.25);
  EXPECT_DOUBLE_EQ(naive.f1.low, 0.25);    // both draws are a: mean of 0 and 0.5
  EXPECT_DOUBLE_EQ(naive.f1.high, 0.625);  // both are b
  EXPECT_EQ(shine.questions, 3);
  EXPECT_DOUBLE_EQ(shine.f1.mean, 1.75 / 3);
  EXPECT_DOUBLE_EQ(shine.context_tokens, 50);
  EXPECT_DOUBLE_EQ(naive.context_tokens, 250);
  EXPECT_DOUBLE_EQ(shine.prepare_seconds, 0.25);
  EXPECT_DOUBLE_EQ(shine.answer_seconds, 2.0);
  EXPECT_DOUBLE_EQ(shine.peak_bytes, 3 << 20);
  EXPECT_TRUE(std::isnan(shine.sft_loss));
}

TEST(Report, TurnsAreAveragedOverConversations) {
  const EvaluationReport report = make_report(small_results(), small_options());
  const std::vector<TurnScore>& turns = report.methods[1].turns;
  ASSERT_EQ(turns.size(), 2U);
  EXPECT_EQ(turns[0].questions, 2);
  EXPECT_DOUBLE_EQ(turns[0].f1, 0.625);
  EXPECT_EQ(turns[1].questions, 1);
  EXPECT_DOUBLE_EQ(turns[1].f1, 0.5);
  EXPECT_TRUE(report.methods[1].published_turns.empty());
}

TEST(Report, ThePublishedTurnsAreOfConversationsOfFifteen) {
  EvaluationResults results;
  add_context(results, Method::shine, "long", std::vector<double>(16, 1.0));
  add_context(results, Method::shine, "right", std::vector<double>(15, 0.5));
  const EvaluationReport report = make_report(results, small_options());
  ASSERT_EQ(report.methods[0].published_turns.size(), 15U);
  EXPECT_EQ(report.methods[0].published_turns[0].questions, 1);
  EXPECT_EQ(report.methods[0].published_turns[0].f1, 0.5);
  EXPECT_EQ(report.methods[0].turns.size(), 16U);
  EXPECT_NE(turns_csv(report).find("shine,all,16,1,1.000000\n"), std::string::npos);
  EXPECT_NE(turns_csv(report).find("shine,15,15,1,0.500000\n"), std::string::npos);
}

TEST(Report, ConversationsOfAnItemAreCountedApart) {
  EvaluationResults results;
  for (const auto& [method, f1] : {std::pair{Method::naive, 0.25}, std::pair{Method::shine, 0.5}}) {
    add_context(results, method, "a", std::vector<double>(15, f1));
    add_conversation(results, method, "a", 1, std::vector<double>(15, 1.0));
    add_conversation(results, method, "a", 2, {0.0});
  }
  const EvaluationReport report = make_report(results, small_options());
  const MethodReport& naive = report.methods[0];
  ASSERT_EQ(naive.turns.size(), 15U);
  EXPECT_EQ(naive.turns[0].questions, 3);
  EXPECT_DOUBLE_EQ(naive.turns[0].f1, 1.25 / 3);
  EXPECT_EQ(naive.turns[14].questions, 2);
  ASSERT_EQ(naive.published_turns.size(), 15U);
  EXPECT_EQ(naive.published_turns[0].questions, 2);
  EXPECT_DOUBLE_EQ(naive.published_turns[0].f1, 0.625);
  EXPECT_EQ(naive.questions, 31);
  EXPECT_EQ(report.differences[0].questions, 31);
  EXPECT_DOUBLE_EQ(report.differences[0].f1.mean, 15 * 0.25 / 31);
  EXPECT_TRUE(report.warnings.empty());
}

TEST(Report, DifferencesArePairedByQuestion) {
  const EvaluationReport report = make_report(small_results(), small_options());
  ASSERT_EQ(report.differences.size(), 1U);
  const MethodDifference& row = report.differences[0];
  EXPECT_EQ(row.other, Method::naive);
  EXPECT_EQ(row.contexts, 2);
  EXPECT_EQ(row.questions, 3);
  EXPECT_DOUBLE_EQ(row.f1.mean, 1.0 / 3);
  EXPECT_DOUBLE_EQ(row.f1.low, 0.0);   // b twice
  EXPECT_DOUBLE_EQ(row.f1.high, 0.5);  // a twice: 1 and 0
  EXPECT_DOUBLE_EQ(row.exact.mean, 1.0 / 3);
}

TEST(Report, TheOrderOfTheRecordsDoesNotMatter) {
  EvaluationResults results = small_results();
  const std::string before = report_json(make_report(results, small_options()));
  std::reverse(results.answers.begin(), results.answers.end());
  std::reverse(results.contexts.begin(), results.contexts.end());
  EXPECT_EQ(report_json(make_report(results, small_options())), before);
}

TEST(Report, WarnsOfRowsThatDoNotCompare) {
  const auto warnings = [](const EvaluationResults& results, QaForm form = QaForm::multi_turn) {
    ReportOptions options = small_options();
    options.form = form;
    return make_report(results, options).warnings;
  };
  ASSERT_EQ(warnings(small_results()).size(), 1U);
  EXPECT_EQ(warnings(small_results())[0].find("shine was not asked the same questions as naive"), 0U);

  EvaluationResults results;
  for (const Method method : {Method::naive, Method::sft, Method::shine, Method::shuffled}) {
    add_context(results, method, "a", {1.0, 1.0});
  }
  EXPECT_TRUE(warnings(results).empty());

  EvaluationResults other_prompt = results;
  other_prompt.answers[2].prompt_hash = "other";  // sft, first question
  ASSERT_EQ(warnings(other_prompt).size(), 1U);
  EXPECT_EQ(warnings(other_prompt)[0], "prompts of naive and sft differ in 1 of 2 questions (prompt_hash)");

  EvaluationResults other_history = results;
  other_history.answers[6].answer = "other";       // shuffled, first question
  other_history.answers[7].prompt_hash = "other";  // so the second prompt differs
  EXPECT_TRUE(warnings(other_history).empty());
  ASSERT_EQ(warnings(other_history, QaForm::one_question).size(), 1U);

  EvaluationResults two_conversations = other_history;
  for (const Method method : {Method::naive, Method::sft, Method::shine, Method::shuffled}) {
    add_conversation(two_conversations, method, "a", 1, {1.0});
  }
  EXPECT_TRUE(warnings(two_conversations).empty());
  two_conversations.answers.back().prompt_hash = "other";  // of another conversation, without a history
  ASSERT_EQ(warnings(two_conversations).size(), 1U);
  EXPECT_EQ(warnings(two_conversations)[0], "prompts of shine and shuffled differ in 1 of 2 questions (prompt_hash)");

  EvaluationResults other_decoding = results;
  other_decoding.answers[5].decoding_hash = "other";
  ASSERT_EQ(warnings(other_decoding).size(), 1U);
  EXPECT_NE(warnings(other_decoding)[0].find("2 different decoding options"), std::string::npos);
}

TEST(Report, TheMultiTurnTableHasTheCostsOfAContext) {
  EvaluationResults results;
  add_context(results, Method::naive, "a", {0.25});
  results.contexts[0].turns_left_out = 4;
  results.contexts[0].questions_over_long = 2;
  results.contexts[0].sft_conversations_cut = 5;
  results.contexts[0].batch_contexts = 8;
  add_context(results, Method::shine, "a", {0.5});
  EXPECT_EQ(
      report_markdown(make_report(results, small_options())),
      "tiny on notes, multi-turn; scores in percent, mean over questions [95 % interval, 200 bootstrap resamples of "
      "contexts]; times per context, peak memory of a batch of up to 8 contexts above the loaded weights\n\n"
      "| method | contexts | questions | F1 | exact match | LoRA generation, s | answering, s | peak memory of a "
      "batch, "
      "MiB |\n"
      "|---|---:|---:|---:|---:|---:|---:|---:|\n"
      "| naive | 1 | 1 | 25.0 [25.0, 25.0] | 0.0 [0.0, 0.0] | - | 2 | 3 |\n"
      "| shine | 1 | 1 | 50.0 [50.0, 50.0] | 0.0 [0.0, 0.0] | 0.5 | 2 | 3 |\n\n"
      "| paired difference | contexts | questions | F1 | exact match |\n|---|---:|---:|---:|---:|\n"
      "| shine - naive | 1 | 1 | +25.0 [+25.0, +25.0] | +0.0 [+0.0, +0.0] |\n\n"
      "- naive: 4 oldest turns left out of prompts\n"
      "- naive: 2 questions longer than evaluation.conversation_max_length, asked whole\n"
      "- naive: 5 conversations for SFT cut at the model's positions\n");
  results.contexts[0].batch_contexts = 0;
  EXPECT_NE(report_markdown(make_report(results, small_options())).find("peak memory of a batch of contexts above"),
            std::string::npos);
  results.contexts[1].batch_contexts = 1;
  EXPECT_NE(report_markdown(make_report(results, small_options())).find("peak memory of a batch of 1 context above"),
            std::string::npos);
}

TEST(Report, TheJudgesScoresAreAColumn) {
  EvaluationResults results;
  add_context(results, Method::naive, "a", {0.25, 1.0});
  ReportOptions options = small_options();
  options.form = QaForm::one_question;
  options.judge = {3.0, 4.0};
  const EvaluationReport report = make_report(results, options);
  EXPECT_DOUBLE_EQ(report.methods[0].judge->mean, 3.5);
  const std::string table = report_markdown(report);
  EXPECT_TRUE(table.starts_with("tiny on notes, one question; scores in percent, ")) << table;
  EXPECT_NE(table.find("| method | contexts | questions | F1 | exact match | judge |\n"), std::string::npos) << table;
  EXPECT_NE(table.find("| 3.5 [3.5, 3.5] |\n"), std::string::npos) << table;
  options.judge = {3.0};
  EXPECT_THROW(make_report(results, options), Error);
}

TEST(Report, FilesHoldTheNumbers) {
  const test::TemporaryFolder folder;
  const EvaluationReport report = make_report(small_results(), small_options());
  write_report(report, folder.path());
  const auto summary = nlohmann::json::parse(read_text_file(folder.path() / "summary.json"));
  EXPECT_EQ(summary.at("test"), "mqa");
  EXPECT_EQ(summary.at("model"), "tiny");
  EXPECT_EQ(summary.at("seed"), 7);
  EXPECT_EQ(summary.at("methods").at(1).at("f1").at(0), 1.75 / 3);
  EXPECT_TRUE(summary.at("methods").at(1).at("sft_loss").is_null());
  EXPECT_EQ(summary.at("methods").at(1).at("turns").at(1),
            nlohmann::json({{"turn", 2}, {"questions", 1}, {"f1", 0.5}}));
  EXPECT_EQ(read_text_file(folder.path() / "report.md"), report_markdown(report));
  EXPECT_EQ(read_text_file(folder.path() / "turns.csv"), turns_csv(report));
}

TEST(Report, NoAnswersMakeAnEmptyTable) {
  const EvaluationReport report = make_report({}, small_options());
  EXPECT_TRUE(report.methods.empty() && report.warnings.empty());
  EXPECT_NE(report_markdown(report).find("| method |"), std::string::npos);
}

}  // namespace
}  // namespace shine
