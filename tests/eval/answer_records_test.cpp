#include "eval/report/answer_records.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "shine/common/error.h"
#include "support/faults.h"
#include "support/paths.h"

namespace shine {
namespace {

AnswerRecord answer_record(Method method, const std::string& item, std::int64_t turn, const std::string& answer = "x") {
  AnswerRecord record;
  record.method = method;
  record.item = item;
  record.conversation = 4;
  record.turn = turn;
  record.source = "test";
  record.question = "Who?\n\"He\"";
  record.answers = {"She", "h\xC3\xA9"};
  record.raw = " " + answer + "\n";
  record.answer = answer;
  record.f1 = 1.0 / 3.0;
  record.exact = 1.0;
  record.prompt_hash = "ab";
  record.decoding_hash = "cd";
  record.prompt_tokens = 12;
  record.new_tokens = 3;
  record.stopped = true;
  return record;
}

ContextRecord context_record(Method method, const std::string& item) {
  ContextRecord record;
  record.method = method;
  record.item = item;
  record.context_tokens = 700;
  record.context_tokens_cut = 5;
  record.turns_left_out = 2;
  record.questions_over_long = 1;
  record.sft_conversations_cut = 3;
  record.prepare_seconds = 0.25;
  record.answer_seconds = 1.5;
  record.peak_bytes = std::int64_t{5} << 33;
  record.batch_contexts = 16;
  record.sft_loss = std::numeric_limits<double>::quiet_NaN();
  return record;
}

class ResultsFile {
 public:
  explicit ResultsFile(const std::string& content) { test::write_bytes(path(), content); }
  std::filesystem::path path() const { return folder_.path() / "answers.jsonl"; }

  std::string message() const {
    return test::fault_of<FormatError>([&] { read_results(path()); });
  }

 private:
  test::TemporaryFolder folder_;
};

std::string line(const auto& record) {
  return record_json(record) + "\n";
}

TEST(AnswerRecords, KeysAreInOrder) {
  EXPECT_EQ(
      record_json(answer_record(Method::in_context, "i7", 2)),
      R"({"kind":"answer","method":"in_context","item":"i7","conversation":4,"turn":2,"source":"test",)"
      R"("question":"Who?\n\"He\"","answers":["She","hé"],"raw":" x\n","answer":"x","f1":0.3333333333333333,"exact":1.0,)"
      R"("prompt_hash":"ab","decoding_hash":"cd","prompt_tokens":12,"new_tokens":3,"stopped":true})");
  EXPECT_EQ(
      record_json(context_record(Method::sft, "i7")),
      R"({"kind":"context","method":"sft","item":"i7","context_tokens":700,"context_tokens_cut":5,)"
      R"("turns_left_out":2,"questions_over_long":1,"sft_conversations_cut":3,"prepare_seconds":0.25,)"
      R"("answer_seconds":1.5,"peak_bytes":42949672960,"batch_contexts":16,"sft_loss":null,"sft_loss_before":null})");
}

TEST(AnswerRecords, ComeBackAsTheyWere) {
  ContextRecord with_loss = context_record(Method::sft, "j");
  with_loss.sft_loss = 0.125;
  with_loss.sft_loss_before = 2.5;
  const std::string text = line(answer_record(Method::shine, "i", 0)) + line(answer_record(Method::shine, "i", 1)) +
                           line(context_record(Method::shine, "i")) + line(with_loss);
  const EvaluationResults results = read_results(ResultsFile(text).path());
  ASSERT_EQ(results.answers.size(), 2U);
  ASSERT_EQ(results.contexts.size(), 2U);
  EXPECT_EQ(record_json(results.answers[1]), record_json(answer_record(Method::shine, "i", 1)));
  EXPECT_TRUE(std::isnan(results.contexts[0].sft_loss));
  EXPECT_EQ(record_json(results.contexts[1]), record_json(with_loss));
  EXPECT_EQ(results_text(results), text);
  EXPECT_EQ(results_text(parse_results(text, "unit 1")), text);
  EXPECT_TRUE(parse_results("", "unit 1").contexts.empty());
  EXPECT_EQ(test::fault_of<FormatError>([&] {
              parse_results(line(context_record(Method::shine, "i")) + "{\"kind\": \"loss\"}", "unit 1");
            }).find("unit 1:2: "),
            0U);
}

TEST(AnswerRecords, BytesThatAreNoTextAreReplaced) {
  const std::string text = record_json(answer_record(Method::naive, "i", 0, "\xFF"));
  EXPECT_NE(text.find("\"answer\":\"\xEF\xBF\xBD\""), std::string::npos) << text;
}

TEST(AnswerRecords, AnswersOfAContextThatIsNotCompleteAreLeftOut) {
  const std::string text = line(answer_record(Method::naive, "i", 0)) + line(answer_record(Method::shine, "i", 0)) +
                           line(context_record(Method::naive, "i")) + line(answer_record(Method::naive, "j", 0));
  const EvaluationResults results = read_results(ResultsFile(text).path());
  ASSERT_EQ(results.answers.size(), 1U);
  EXPECT_EQ(results.answers[0].method, Method::naive);
  EXPECT_EQ(results.answers[0].item, "i");
  EXPECT_EQ(results.contexts.size(), 1U);
}

TEST(AnswerRecords, ALastLineWithoutNewlineIsLeftOut) {
  const std::string whole = line(answer_record(Method::naive, "i", 0)) + line(context_record(Method::naive, "i"));
  for (std::size_t cut = 0; cut < whole.size(); cut += 9) {
    const EvaluationResults results = read_results(ResultsFile(whole.substr(0, cut)).path());
    EXPECT_TRUE(results.answers.empty() && results.contexts.empty()) << cut;
  }
  EXPECT_EQ(read_results(ResultsFile(whole).path()).contexts.size(), 1U);
  EXPECT_EQ(read_results(ResultsFile(whole + "{\"ki").path()).contexts.size(), 1U);
  EXPECT_EQ(read_results(ResultsFile(whole + " \n").path()).contexts.size(), 1U);
}

TEST(AnswerRecords, TheLaterOfTwoAnswersCounts) {
  const std::string text =
      line(answer_record(Method::naive, "i", 1, "first")) + line(answer_record(Method::naive, "i", 0)) +
      line(answer_record(Method::naive, "i", 1, "second")) + line(context_record(Method::naive, "i"));
  const EvaluationResults results = read_results(ResultsFile(text).path());
  ASSERT_EQ(results.answers.size(), 2U);
  EXPECT_EQ(results.answers[0].turn, 0);
  EXPECT_EQ(results.answers[1].answer, "second");
}

TEST(AnswerRecords, ConversationsOfAnItemAreKeptApart) {
  AnswerRecord first = answer_record(Method::naive, "i", 0, "first"), second = first;
  first.conversation = 0;
  second.conversation = 1;
  second.answer = "second";
  const std::string text = line(second) + line(first) + line(context_record(Method::naive, "i"));
  const EvaluationResults results = read_results(ResultsFile(text).path());
  ASSERT_EQ(results.answers.size(), 2U);
  EXPECT_EQ(results.answers[0].answer, "first");
  EXPECT_EQ(results.answers[1].conversation, 1);
  EXPECT_EQ(results.answers[1].answer, "second");
}

TEST(AnswerRecords, LinesWithoutTheLaterKeysAreRead) {
  std::string text = line(answer_record(Method::naive, "i", 3)) + line(context_record(Method::naive, "i"));
  for (const std::string key : {"\"conversation\":4,", "\"questions_over_long\":1,", "\"sft_conversations_cut\":3,",
                                "\"batch_contexts\":16,"}) {
    text.erase(text.find(key), key.size());
  }
  const EvaluationResults results = read_results(ResultsFile(text).path());
  EXPECT_EQ(results.answers.at(0).conversation, 0);
  EXPECT_EQ(results.answers.at(0).turn, 3);
  EXPECT_EQ(results.contexts.at(0).questions_over_long, 0);
  EXPECT_EQ(results.contexts.at(0).sft_conversations_cut, 0);
  EXPECT_EQ(results.contexts.at(0).batch_contexts, 0);
}

TEST(AnswerRecords, FaultsNameFileAndLine) {
  const std::string good = line(context_record(Method::naive, "i"));
  const auto fault = [&](std::string bad, const std::string& from, const std::string& to) {
    bad.replace(bad.find(from), from.size(), to);
    const ResultsFile file(good + bad);
    const std::string message = file.message();
    EXPECT_EQ(message.find(file.path().string() + ":2"), 0U) << message;
    return message;
  };
  const std::string answer = line(answer_record(Method::shine, "i", 0));
  fault(answer, "{", "");
  EXPECT_NE(fault(answer, "\"answer\"", "\"other\"").find("'kind': expected answer or context"), std::string::npos);
  EXPECT_NE(fault(answer, "\"shine\"", "\"shin\"").find("'method': expected one of naive,"), std::string::npos);
  EXPECT_NE(fault(answer, "\"turn\":0", "\"turn\":-1").find("'turn': expected a number from 0 to 1e15"),
            std::string::npos);
  EXPECT_NE(fault(answer, "\"conversation\":4", "\"conversation\":\"4\"").find("conversation"), std::string::npos);
  EXPECT_NE(fault(answer, "\"exact\":1.0", "\"exact\":1.5").find("'exact': expected a number from 0 to 1"),
            std::string::npos);
  EXPECT_NE(fault(answer, "\"She\"", "7").find("'answers': expected strings"), std::string::npos);
  EXPECT_NE(fault(answer, "\"raw\"", "\"row\"").find("raw"), std::string::npos);
  EXPECT_NE(fault(answer, "true", "1").find("stopped"), std::string::npos);
  EXPECT_NE(fault(good, "0.25", "-0.25").find("'prepare_seconds'"), std::string::npos);
  EXPECT_NE(fault(good, "0.25", "null").find("prepare_seconds"), std::string::npos);
  fault(good, "0.25", "1e999");
  EXPECT_NE(fault(good, "naive", "naive").find("method naive has answered this item before"), std::string::npos);
  EXPECT_THROW(read_results("/no/such/file"), IoError);
}

}  // namespace
}  // namespace shine
