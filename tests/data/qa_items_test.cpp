#include "data/qa/qa_items.h"

#include <gtest/gtest.h>

#include "data/golden.h"
#include "shine/common/error.h"
#include "support/faults.h"

namespace shine {
namespace {

class QaItemsTest : public testing::Test {
 protected:
  std::vector<QaItem> read(std::string_view content) {
    test::write_bytes(path(), content);
    return read_qa_items(path());
  }

  /// The fault of a file of one sound line and then `line`, without the path.
  std::string fault(const std::string& line) {
    const std::string sound = R"({"context": "c", "questions": [{"question": "q", "answers": ["a"]}]})";
    const std::string message = test::fault_of<FormatError>([&] { read(sound + "\n" + line + "\n"); });
    EXPECT_EQ(message.find(path().string()), 0U) << message << " for " << line;
    return message.substr(std::min(path().string().size(), message.size()));
  }

  std::filesystem::path path() const { return folder_.path() / "qa.jsonl"; }

  test::TemporaryFolder folder_;
};

TEST_F(QaItemsTest, ReadsBothForms) {
  const auto items = read(
      R"({"id": "x", "source": "s", "context": " c\n", "conversations": [[{"role": "user", "content": "q"}, )"
      R"({"role": "assistant", "content": "a"}]], "sft_conversations": [[{"role": "user", "content": "1"}, )"
      R"({"role": "assistant", "content": "2", "more": 1}]], "unknown": [{}]})"
      "\n \n"
      R"({"context": "d", "questions": [{"question": "q1", "answers": ["a", "b"]}, {"question": "q2", "answers": ["c"]}],)"
      R"( "conversations": null, "id": null})");
  ASSERT_EQ(items.size(), 2U);
  EXPECT_EQ(items[0].id, "x");
  EXPECT_EQ(items[0].source, "s");
  EXPECT_EQ(items[0].context, " c\n");
  EXPECT_EQ(questions_of(items[0]), (std::vector<QaQuestion>{{"q", {"a"}}}));
  EXPECT_EQ(items[0].sft_conversations.at(0).at(1).content, "2");
  EXPECT_EQ(items[1].id, "qa.jsonl:3");
  EXPECT_EQ(items[1].source, "");
  EXPECT_EQ(questions_of(items[1]), (std::vector<QaQuestion>{{"q1", {"a", "b"}}, {"q2", {"c"}}}));
}

TEST_F(QaItemsTest, WhatIsWrittenIsRead) {
  const std::string lines =
      R"({"id":"x","source":"s","context":"é\"\\\n","conversations":[[{"role":"user","content":"q"},)"
      R"({"role":"assistant","content":"a"}]],"sft_conversations":[[{"role":"user","content":"1"},)"
      R"({"role":"assistant","content":"2"}]]})"
      "\n"
      R"({"id":"y","source":"","context":"d","questions":[{"question":"q","answers":["a","b"]}]})"
      "\n";
  std::string written;
  for (const QaItem& item : read(lines)) written += qa_item_json(item) + "\n";
  EXPECT_EQ(written, lines);
}

TEST_F(QaItemsTest, QuestionsOfConversationsAreTheirTurns) {
  QaItem item{.conversations = {{{"user", "a"}, {"assistant", "b"}, {"user", "c"}, {"assistant", "d"}},
                                {{"user", "e"}, {"assistant", "f"}}}};
  EXPECT_EQ(questions_of(item), (std::vector<QaQuestion>{{"a", {"b"}}, {"c", {"d"}}, {"e", {"f"}}}));
}

TEST_F(QaItemsTest, BytesThatAreNoTextBecomeReplacementCharacters) {
  const auto items =
      read("{\"context\": \"a\xff\\ud800\", \"questions\": [{\"question\": \"q\", \"answers\": [\"a\"]}]}");
  EXPECT_EQ(items[0].context, "a\uFFFD\uFFFD");
  EXPECT_EQ(qa_item_json({.id = "x", .source = {}, .context = "a\xff"}).find("a\uFFFD") == std::string::npos, false);
}

TEST_F(QaItemsTest, OneLineForEachFault) {
  const std::string qa = R"("questions": [{"question": "q", "answers": ["a"]}])";
  const auto turns = [](const std::string& messages) {
    return R"({"context": "c", "conversations": [[)" + messages + "]]}";
  };
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"({"context": "c")", ":2:16: syntax error"},
      {"[1]", ":2: expected an object, found array"},
      {"{" + qa + "}", ":2: key \"context\" is missing"},
      {R"({"context": 3, )" + qa + "}", ":2: context: expected a string, found number"},
      {R"({"context": " \n", )" + qa + "}", ":2: context: the text is empty"},
      {R"({"context": "c", "id": 7, )" + qa + "}", ":2: id: expected a string"},
      {R"({"context": "c", "id": "", )" + qa + "}", ":2: the id is empty"},
      {R"({"context": "c", "id": "qa.jsonl:1", )" + qa + "}", ":2: the id \"qa.jsonl:1\" is that of line 1 already"},
      {R"({"context": "c"})", ":2: there are neither conversations nor questions"},
      {R"({"context": "c", "conversations": [], )" + qa + "}", ":2: there are both conversations and questions"},
      {R"({"context": "c", "questions": []})", ":2: questions: there is no question"},
      {R"({"context": "c", "questions": {}})", ":2: questions: expected an array, found object"},
      {R"({"context": "c", "questions": [{"question": "q"}]})", ":2: questions[0]: key \"answers\" is missing"},
      {R"({"context": "c", "questions": [{"question": "q", "answers": []}]})",
       ":2: questions[0].answers: the question has no answer"},
      {R"({"context": "c", "questions": [{"question": "q", "answers": ["a"]}, {"question": "q", "answers": ["a", ""]}]})",
       ":2: questions[1].answers[1]: the text is empty"},
      {R"({"context": "c", "questions": [{"question": "q", "answers": "a"}]})",
       ":2: questions[0].answers: expected an array, found string"},
      {turns(""), ":2: conversations[0]: the conversation is empty"},
      {turns(R"({"role": "user", "content": "q"})"), ":2: conversations[0]: the last question has no answer"},
      {turns(R"({"role": "assistant", "content": "q"})"),
       ":2: conversations[0][0].role: expected the role \"user\", found \"assistant\""},
      {turns(R"({"role": "system", "content": "q"})"), "system messages come from the configuration"},
      {turns(R"({"role": "user", "content": "q"}, {"role": "user", "content": "q"})"),
       ":2: conversations[0][1].role: expected the role \"assistant\", found \"user\""},
      {turns(R"({"role": "user", "content": "q"}, {"role": "assistant", "content": " "})"),
       ":2: conversations[0][1].content: the text is empty"},
      {turns(R"({"role": "user"})"), ":2: conversations[0][0]: key \"content\" is missing"},
      {R"({"context": "c", "conversations": [{}]})", ":2: conversations[0]: expected an array, found object"},
      {R"({"context": "c", "sft_conversations": [], )" + qa + "}", ":2: sft_conversations: there is no conversation"},
  };
  for (const auto& [line, expected] : cases) {
    const std::string message = fault(line);
    EXPECT_NE(message.find(expected), std::string::npos) << line << "\n" << message;
  }
  EXPECT_THROW(read("\n"), FormatError);
  EXPECT_THROW(read_qa_items(folder_.path() / "none.jsonl"), IoError);
}

TEST(QaItems, CountsQuestionsWithoutAnAnswerInTheContext) {
  const std::vector<QaQuestion> questions{
      {"q", {"river  bank"}}, {"q", {"lake", "RAN"}}, {"q", {"lake"}}, {"q", {"sea", "pond"}}, {"q", {"Yes"}}};
  EXPECT_EQ(count_not_in_context("The River\nbank ran", questions), 2U);
  EXPECT_EQ(count_not_in_context(QaItem{.context = "The River\nbank ran", .questions = questions}), 2U);
}

TEST(QaItems, ContextsInBothTrainingAndValidationAreRefused) {
  const std::vector<QaItem> train = {{.id = "a", .context = "one  text\n"}, {.id = "b", .context = "other"}};
  check_contexts_disjoint(train, {{.id = "c", .context = "onetext"}});
  check_contexts_disjoint(train, {});
  EXPECT_EQ(test::fault_of<ConfigError>([&] {
              check_contexts_disjoint(train, {{.id = "c", .context = "x"}, {.id = "d", .context = " one text"}});
            }),
            "data.validation: 1 of 2 training items have a context of the validation data, \"a\" that of \"d\" "
            "(take them out of one side, or allow it by data.check_overlap=false)");
}

}  // namespace
}  // namespace shine
