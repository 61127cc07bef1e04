// Small files in the layouts of the data sets' authors.
#include "data/convert/qa_convert.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "data/convert/json_records.h"
#include "data/golden.h"
#include "shine/common/error.h"
#include "shine/config/enum_names.h"
#include "support/faults.h"

namespace shine {
namespace {

class QaConvertTest : public testing::Test {
 protected:
  std::filesystem::path file(const std::string& name, std::string_view content) { return folder_.write(name, content); }

  /// The items as lines of JSON.
  std::vector<std::string> convert(const std::vector<std::filesystem::path>& files, const QaConvertOptions& options) {
    std::vector<std::string> lines;
    report_ = convert_qa(files, options, [&](QaItem&& item, std::string_view) { lines.push_back(qa_item_json(item)); });
    return lines;
  }
  std::vector<std::string> convert(QaFormat format, std::string_view content) {
    return convert({file("in.json", content)}, {.format = format});
  }

  /// The fault that the content is, without the folder.
  std::string fault(QaFormat format, std::string_view content, const std::string& name = "in.json") {
    return folder_.shorten(test::fault_of<FormatError>([&] { convert({file(name, content)}, {.format = format}); }));
  }

  void expect_faults(QaFormat format, const std::vector<std::pair<std::string, std::string>>& cases) {
    for (const auto& [content, expected] : cases)
      EXPECT_EQ(fault(format, content).find(expected), 0U) << fault(format, content);
  }

  test::TemporaryFolder folder_;
  QaConvertReport report_;
};

using Lines = std::vector<std::string>;

TEST_F(QaConvertTest, IftArrayOfConversations) {
  const auto lines = convert(QaFormat::ift, R"([
    {"context": "The cat sat.", "conversations": [{"role": "user", "content": "Who?"},
      {"role": "assistant", "content": " The  CAT "}, {"role": "user", "content": "Where?"},
      {"role": "assistant", "content": ""}], "contextlen": 4, "conversationlen": 30},
    {"context": "c", "conversations": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"},
      {"role": "assistant", "content": "a"}, {"role": "user", "content": "left over"}],
      "sft_conversations": [[{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]]},
    {"context": "c", "conversations": [{"role": "assistant", "content": "a"}]},
    {"context": " ", "conversations": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]},
    {"context": "c", "conversations": []}])");
  EXPECT_EQ(lines,
            (Lines{R"({"id":"in/1","source":"ift","context":"The cat sat.","conversations":[[)"
                   R"({"role":"user","content":"Who?"},{"role":"assistant","content":"The  CAT"}]]})",
                   R"({"id":"in/2","source":"ift","context":"c","conversations":[[)"
                   R"({"role":"user","content":"q"},{"role":"assistant","content":"a"}]],)"
                   R"("sft_conversations":[[{"role":"user","content":"x"},{"role":"assistant","content":"y"}]]})"}));
  EXPECT_EQ(describe(report_),
            "2 items with 2 questions; left out: 2 questions without text or answer, 1 items with an empty context, "
            "1 items with turns out of order, 1 items without a question; kept: 1 questions with no answer found in "
            "the context");
  EXPECT_EQ(convert(QaFormat::ift, "[]").size(), 0U);
  expect_faults(
      QaFormat::ift,
      {{R"([{"conversations": []}])", "in.json: item 1: key \"context\" is missing"},
       {R"([{"context": "c", "conversations": 1}])", "in.json: item 1: conversations: expected an array, found number"},
       {R"([{"context": "c", "conversations": []}, {"context": "c", "conversations": [{"role": "user"}]}])",
        "in.json: item 2: conversations[0]: key \"content\" is missing"},
       {R"([{"context": "c", "conversations": [{"role": "user", "content": ["x"]}]}])",
        "in.json: item 1: conversations[0].content: expected a string, found array"}});
}

TEST_F(QaConvertTest, MsMarcoLinesOfPairs) {
  const auto lines =
      convert(QaFormat::msmarco_mqa,
              R"({"context": "c d", "conversations": [{"question": "q", "answer": "c"}, {"question": "r"}]})"
              "\n\n"
              R"({"context": "e", "conversations": [{"question": "q", "answer": "e"}]})"
              "\n");
  EXPECT_EQ(lines, (Lines{R"({"id":"in/1","source":"msmarco_mqa","context":"c d","conversations":[[)"
                          R"({"role":"user","content":"q"},{"role":"assistant","content":"c"}]]})",
                          R"({"id":"in/3","source":"msmarco_mqa","context":"e","conversations":[[)"
                          R"({"role":"user","content":"q"},{"role":"assistant","content":"e"}]]})"}));
  EXPECT_EQ(report_.without_answer, 1U);
  EXPECT_EQ(report_.not_in_context, 0U);
  expect_faults(QaFormat::msmarco_mqa,
                {{"{\"context\": \"c\", \"conversations\": []}\n{\"context\": ", "in.json:2:13: "},
                 {R"({"context": "c", "conversations": [{"question": "q", "answer": 3}]})",
                  "in.json:1: conversations[0].answer: expected a string, found number"}});
}

TEST_F(QaConvertTest, SquadParagraphsWithAllDistinctAnswers) {
  const std::string document = R"({"version": "v2.0", "data": [
    {"title": "A", "paragraphs": [
      {"context": "One two three.", "qas": [
        {"id": "1", "question": " First? ", "is_impossible": false, "answers": [{"text": "One", "answer_start": 0},
          {"text": "two", "answer_start": 4}, {"text": "One ", "answer_start": 0}]},
        {"id": "2", "question": "Not?", "is_impossible": true, "answers": [], "plausible_answers": [{"text": "x"}]}]},
      {"context": "Four", "qas": [{"id": "3", "question": "Not?", "is_impossible": true, "answers": []}]}]},
    {"title": "A", "paragraphs": [{"context": "Five", "qas": [
        {"id": "4", "question": "v1?", "answers": [{"text": "Five", "answer_start": 0}]},
        {"id": "5", "question": "none?", "answers": []}]}]}]})";
  EXPECT_EQ(
      convert(QaFormat::squad, document),
      (Lines{
          R"({"id":"A/1","source":"squad","context":"One two three.","questions":[{"question":"First?","answers":["One","two"]}]})",
          R"({"id":"A/1#2","source":"squad","context":"Five","questions":[{"question":"v1?","answers":["Five"]}]})"}));
  EXPECT_EQ(describe(report_),
            "2 items with 2 questions; left out: 2 unanswerable questions, 1 questions without text or answer, 1 items "
            "without a question");
  expect_faults(
      QaFormat::squad,
      {{"3", "in.json: expected an object, found number"},
       {"{\"data\": [", "in.json:1:"},
       {R"({"version": "1"})", "in.json: key \"data\" is missing"},
       {R"({"data": [{"paragraphs": [{"context": "c"}]}]})", "in.json: data[0].paragraphs[0]: key \"qas\" is missing"},
       {R"({"data": [{"paragraphs": [{"context": "c", "qas": [{"question": "q", "answers": ["x"]}]}]}]})",
        "in.json: data[0].paragraphs[0].qas[0].answers[0]: expected an object, found string"},
       {R"({"data": [{"paragraphs": [{"context": "c", "qas": [{"question": "q", "is_impossible": 1}]}]}]})",
        "in.json: data[0].paragraphs[0].qas[0].is_impossible: expected true or false, found number"}});
}

TEST_F(QaConvertTest, SquadRowsOfTheHubAreTheAuthorsItems) {
  const std::string document = R"({"version": "v2.0", "data": [
    {"title": "A", "paragraphs": [
      {"context": "One two three.", "qas": [
        {"id": "1", "question": "First?", "answers": [{"text": "One", "answer_start": 0}, {"text": "two"}]},
        {"id": "2", "question": "Not?", "is_impossible": true, "answers": []},
        {"id": "3", "question": "Second?", "answers": [{"text": "three"}]}]},
      {"context": "Four", "qas": [{"id": "4", "question": "Not?", "is_impossible": true, "answers": []}]},
      {"context": "Five", "qas": [{"id": "5", "question": "What?", "answers": [{"text": "Five"}]}]}]},
    {"title": "B", "paragraphs": [
      {"context": "Five", "qas": [{"id": "6", "question": "Who?", "answers": [{"text": "Five"}]}]}]}]})";
  const Lines expected = convert(QaFormat::squad, document);
  ASSERT_EQ(expected.size(), 3U);
  const std::string report = describe(report_);
  const std::vector<std::string> rows = {
      R"({"id": "1", "title": "A", "context": "One two three.", "question": "First?", "answers": {"text": ["One", "two"], "answer_start": [0, 4]}})",
      R"({"id": "2", "title": "A", "context": "One two three.", "question": "Not?", "answers": {"text": [], "answer_start": []}})",
      R"({"id": "3", "title": "A", "context": "One two three.", "question": "Second?", "answers": "{\"text\": [\"three\"]}"})",
      R"({"id": "4", "title": "A", "context": "Four", "question": "Not?", "answers": {"text": [], "answer_start": []}})",
      R"({"id": "5", "score": NaN, "title": "A", "context": "Five", "question": "What?", "answers": [{"text": "Five"}]})",
      R"({"id": "6", "title": "B", "context": "Five", "question": "Who?", "answers": {"text": ["Five"], "answer_start": [0]}})"};
  std::string lines, array;
  for (const std::string& row : rows) {
    lines += row + "\n";
    array += (array.empty() ? "[" : ", ") + row;
  }
  for (const std::string& content : {lines, array + "]"}) {
    EXPECT_EQ(convert(QaFormat::squad, content), expected);
    EXPECT_EQ(describe(report_), report);
  }
  const std::string articles = document.substr(document.find('['));
  EXPECT_EQ(convert(QaFormat::squad, articles.substr(0, articles.size() - 1)), expected);
  EXPECT_EQ(convert(QaFormat::squad, R"({"title": NaN, "context": "c", "question": "q", "answers": {"text": ["c"]}})"),
            Lines{R"({"id":"in/1","source":"squad","context":"c","questions":[{"question":"q","answers":["c"]}]})"});
  expect_faults(QaFormat::squad,
                {{R"([{"_id": "x", "question": "q", "answer": "a", "context": [["T", ["One."]]]}])",
                  "in.json: item 1: context: expected a string, found array"},
                 {R"({"context": "c", "question": "q", "answers": {"text": "c"}})",
                  "in.json:1: answers.text: expected an array, found string"},
                 {R"({"context": "c", "question": "q", "answers": "{'text': ['c']}"})",
                  "in.json:1: answers: the string holds no"},
                 {"{\"context\": \"c\", \"question\": NaN}", "in.json:1: question: expected a string, found number"}});
}

TEST_F(QaConvertTest, MultiHopColumnsOfTheHubAreTheAuthorsItems) {
  const auto hotpot = [&](std::string_view context, const char* id = "_id", QaFormat format = QaFormat::hotpotqa) {
    return convert(format, str("[{\"", id, R"(": "x", "question": "q?", "answer": "yes", "context": )", context, "}]"));
  };
  const std::string authors = R"([["T", ["One.", " Two."]], ["U", ["Three."]], ["V", []]])";
  const std::string columns = R"({"title": ["T", "U", "V"], "sentences": [["One.", " Two."], ["Three."], []]})";
  const Lines expected = hotpot(authors);
  ASSERT_EQ(expected.size(), 1U);
  EXPECT_EQ(hotpot(columns, "id"), expected);
  EXPECT_EQ(hotpot(nlohmann::json(authors).dump()), expected);
  EXPECT_EQ(hotpot(nlohmann::json(columns).dump(), "id"), expected);
  EXPECT_EQ(hotpot(nlohmann::json(authors).dump(), "_id", QaFormat::two_wiki),
            hotpot(authors, "_id", QaFormat::two_wiki));
  const auto musique = [&](std::string_view paragraphs) {
    return convert(QaFormat::musique,
                   str(R"({"id": "x", "question": "q?", "answer": "one", "paragraphs": )", paragraphs, "}"));
  };
  EXPECT_EQ(musique(R"({"idx": [0, 1], "paragraph_text": ["One.", "Two."]})"),
            musique(R"([{"idx": 0, "paragraph_text": "One."}, {"idx": 1, "paragraph_text": "Two."}])"));
  expect_faults(QaFormat::two_wiki,
                {{R"([{"_id": "x", "question": "q", "answer": "a", "context": "[['T', ['One.']]]"}])",
                  "in.json: item 1: context: the string holds no JSON (write it by json.dumps"},
                 {R"([{"_id": "x", "question": "q", "answer": "a", "context": "[[\"T\"]]"}])",
                  "in.json: item 1: context: [0]: expected a title and an array of sentences"},
                 {R"([{"_id": "x", "question": "q", "answer": "a", "context": {"title": ["T"]}}])",
                  "in.json: item 1: context: key \"sentences\" is missing"}});
}

TEST_F(QaConvertTest, RecordsAcrossPiecesAreWhole) {
  std::string array = "[", expected;
  for (int i = 0; i < 300; ++i) {
    const std::string text(static_cast<std::size_t>(37 * i), 'x');
    array += (i > 0 ? " ,\n" : "") + ("{\"a\": \"],\\\"" + text) + "\"}";
    expected += std::to_string(text.size()) + ";";
  }
  std::string found;
  read_json_records(file("r", array + "\n]\n"), [&](std::size_t, const std::string&, const nlohmann::json& record) {
    found += std::to_string(record.at("a").get<std::string>().size() - 3) + ";";
  });
  EXPECT_EQ(found, expected);
}

TEST_F(QaConvertTest, HotpotAnd2WikiParagraphsWithoutTitles) {
  const std::string content = R"([{"_id": "x", "answer": "yes", "question": "q?", "supporting_facts": [["T", 0]],
    "context": [["T", ["One.", " Two."]], ["U", ["Three."]], ["V", []]], "type": "comparison", "level": "hard"},
    {"_id": "y", "question": "hidden?", "context": [["T", ["One."]]]}])";
  const auto context = [&](const QaConvertOptions& options) {
    const auto lines = convert({file("in.json", content)}, options);
    EXPECT_EQ(lines.size(), 1U);
    const auto item = nlohmann::json::parse(lines.at(0));
    EXPECT_EQ(item.at("id"), "x");
    EXPECT_EQ(item.at("source"), options.source.empty() ? enum_name(options.format) : options.source);
    EXPECT_EQ(item.at("questions").dump(), R"([{"answers":["yes"],"question":"q?"}])");
    EXPECT_EQ(report_.without_answer, 1U);
    EXPECT_EQ(report_.without_question, 1U);
    EXPECT_EQ(report_.not_in_context, 0U);
    return item.at("context").get<std::string>();
  };
  EXPECT_EQ(context({.format = QaFormat::hotpotqa}), "One. Two.\n\nThree.");
  EXPECT_EQ(context({.format = QaFormat::two_wiki, .source = "s"}), "One.  Two.\n\nThree.");
  EXPECT_EQ(context({.format = QaFormat::two_wiki, .sentence_separator = SentenceSeparator::none}),
            "One. Two.\n\nThree.");
  expect_faults(QaFormat::hotpotqa, {{R"([{"_id": "x", "question": "q", "answer": "a", "context": [["T"]]}])",
                                      "in.json: item 1: context[0]: expected a title and an array of sentences"},
                                     {R"([{"_id": "x", "question": "q", "answer": "a", "context": [["T", "S"]]}])",
                                      "in.json: item 1: context[0][1]: expected an array, found string"},
                                     {R"([{"question": "q", "answer": "a", "context": []}])",
                                      "in.json: item 1: there is neither `_id` nor `id`"}});
}

TEST_F(QaConvertTest, MusiqueWithAliases) {
  const auto lines = convert(
      QaFormat::musique,
      R"({"id": "2hop__1", "paragraphs": [{"idx": 0, "title": "T", "paragraph_text": "One.", "is_supporting": true}, )"
      R"({"idx": 1, "title": "U", "paragraph_text": "Two."}], "question": "q?", "question_decomposition": [], )"
      R"("answer": "one", "answer_aliases": ["1", "one"], "answerable": true})"
      "\n"
      R"({"id": "n", "paragraphs": [], "question": "q?", "answer": "x", "answer_aliases": [], "answerable": false})");
  EXPECT_EQ(lines, (Lines{R"({"id":"2hop__1","source":"musique","context":"One.\n\nTwo.","questions":[)"
                          R"({"question":"q?","answers":["one","1"]}]})"}));
  EXPECT_EQ(report_.unanswerable, 1U);
  expect_faults(QaFormat::musique,
                {{R"({"id": "n", "paragraphs": [{"text": "x"}], "question": "q?", "answer": "x"})",
                  "in.json:1: paragraphs[0]: key \"paragraph_text\" is missing"},
                 {R"({"id": "n", "paragraphs": [], "question": "q?", "answer": "x", "answer_aliases": "y"})",
                  "in.json:1: answer_aliases: expected an array, found string"}});
}

std::string story(const std::string& id) {
  std::string line = id + "\tAuthor: 1;Work Time(s): 2\tOne\\newline\\newlinetwo\\tabthree.";
  for (const char* question : {"one: Q1?", "multiple: Q2?", "Q3?", "one:Q4?"}) {
    line += std::string("\t") + question + "\tone\ttwo\tfour\t3 is";
  }
  return line + "\r\n";
}

TEST_F(QaConvertTest, MctestWithTheTextOfTheRightOption) {
  file("in.ans", "A\tB\tC\tD\r\nD\tC\tB\tA\n");
  const auto lines = convert({file("in.tsv", story("s.0") + story("s.1"))}, {.format = QaFormat::mctest});
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(
      lines[0],
      R"({"id":"s.0","source":"mctest","context":"One\n\ntwo\tthree.","questions":[{"question":"Q1?","answers":["one"]},)"
      R"({"question":"Q2?","answers":["two"]},{"question":"Q3?","answers":["four"]},{"question":"Q4?","answers":["3 is"]}]})");
  EXPECT_EQ(report_.not_in_context, 4U);
  const auto mctest = [&](const std::string& stories) { return fault(QaFormat::mctest, stories, "in.tsv"); };
  EXPECT_EQ(mctest(story("s.0")).find("in.ans: expected letters for 1 stories, found 2"), 0U);
  EXPECT_EQ(mctest(story("0") + story("1") + story("2")).find("in.tsv:3: there is no line of letters"), 0U);
  EXPECT_EQ(mctest("a\tb\tc\n"), "in.tsv:1: expected 23 fields with tabs between, found 3");
  for (const char* letters : {"A\tB\tC\n", "A\tB\tC\tE\n", "A\tB\tC\tD\tA\n", "AB\tB\tC\tD\n"}) {
    file("in.ans", letters);
    EXPECT_EQ(mctest(story("0")), "in.ans:1: expected four letters from A to D with tabs between");
  }
  std::filesystem::remove(folder_.path() / "in.ans");
  EXPECT_THROW(convert({folder_.path() / "in.tsv"}, {.format = QaFormat::mctest}), IoError);
  EXPECT_THROW(convert({file("in.ans", "")}, {.format = QaFormat::mctest}), ConfigError);
}

TEST_F(QaConvertTest, RecordsOfAnArrayAndOfLinesAreTheSame) {
  const auto records = [&](std::string_view content) {
    std::string all;
    read_json_records(file("r", content), [&](std::size_t number, const std::string&, const nlohmann::json& record) {
      all += std::to_string(number) + ":" + record.dump() + ";";
    });
    return all;
  };
  EXPECT_EQ(records("\xEF\xBB\xBF [ {\"a\": \"]\\\"},\\\\\"} , [1, [2]]\n,\"x\" ] \n"),
            R"(1:{"a":"]\"},\\"};2:[1,[2]];3:"x";)");
  EXPECT_EQ(records("{\"a\": 1}\n \n[2]"), R"(1:{"a":1};3:[2];)");
  EXPECT_EQ(records("[]") + records(" [ ] ") + records(""), "");
  EXPECT_EQ(records("[\"\xff\\ud800\"]"), "1:\"\uFFFD\uFFFD\";");
  for (const char* broken : {"[", "[1", "[1,", "[1,]", "[,1]", "[1]2", "[1 2]", "[{]}", "[}]", "[\"", "[\"a\\",
                             "[{\"a\":1]", "[{\"a\":1,\"a\":2}]", "[1]]"}) {
    EXPECT_THROW(records(broken), FormatError) << broken;
  }
}

TEST_F(QaConvertTest, ValidationSharesNoContextAndNoArticle) {
  std::string articles;
  for (int article = 0; article < 20; ++article) {
    std::string paragraphs;
    for (int i = 0; i < 3; ++i) {
      const std::string context = i == 2 && article % 5 == 0 ? "twice  there" : "c" + std::to_string(article * 10 + i);
      paragraphs += (i > 0 ? "," : "") + (R"({"context": ")" + context) +
                    R"(", "qas": [{"question": "q", "answers": [{"text": "c"}]}]})";
    }
    articles += (article > 0 ? "," : "") + (R"({"title": "t)" + std::to_string(article)) + R"(", "paragraphs": [)" +
                paragraphs + "]}";
  }
  const auto input = file("in.json", R"({"data": [)" + articles + "]}");
  const auto title = [](const QaItem& item) { return item.id.substr(0, item.id.find('/')); };
  std::set<std::string> choices;
  for (const std::uint64_t seed : {1, 2, 3, 4, 5, 6}) {
    const QaOutput output{.file = folder_.path() / "train.jsonl",
                          .validation_file = folder_.path() / "validation.jsonl",
                          .validation_share = 0.2,
                          .seed = seed};
    const auto report = write_qa_files({input}, {.format = QaFormat::squad}, output);
    const auto train = read_qa_items(output.file);
    const auto validation = read_qa_items(output.validation_file);
    EXPECT_EQ(train.size() + validation.size(), 60U);
    EXPECT_EQ(report.items, 60U);
    EXPECT_EQ(report.validation_items, validation.size());
    EXPECT_NEAR(static_cast<double>(validation.size()), 12.0, 3.0);
    EXPECT_NO_THROW(check_contexts_disjoint(train, validation));
    std::set<std::string> held_out;
    for (const auto& item : validation) {
      if (item.context != "twice  there") held_out.insert(title(item));
    }
    for (const auto& item : train) EXPECT_FALSE(held_out.contains(title(item)));
    choices.insert(*held_out.begin() + *held_out.rbegin());
    write_qa_files({input}, {.format = QaFormat::squad}, output);
    EXPECT_EQ(read_qa_items(output.validation_file).front().id, validation.front().id);
  }
  EXPECT_GT(choices.size(), 2U);
}

TEST_F(QaConvertTest, RefusesWhatCannotBe) {
  const auto one = file("in.json", R"([{"context": "c", "conversations": [{"question": "q", "answer": "a"}]}])");
  const QaConvertOptions options{.format = QaFormat::msmarco_mqa};
  const auto out = folder_.path() / "out.jsonl";
  const auto other = folder_.path() / "other.jsonl";
  const auto refused = [&](const std::filesystem::path& input, const QaOutput& output) {
    EXPECT_THROW(write_qa_files({input}, options, output), ConfigError);
    EXPECT_FALSE(std::filesystem::exists(output.file));
  };
  refused(one, {.file = out, .validation_file = other, .validation_share = 0.5});
  refused(one, {.file = out, .validation_file = other, .validation_share = 1.0});
  refused(one, {.file = out, .validation_file = other});
  refused(one, {.file = out, .validation_share = 0.5});
  refused(one, {.file = out, .validation_file = out, .validation_share = 0.5});
  refused(file("none.json", R"([{"context": "c", "conversations": [{"question": "q", "answer": ""}]}])"),
          {.file = out});
  EXPECT_THROW(convert({}, options), ConfigError);
  EXPECT_THROW(convert({folder_.path() / "missing"}, options), IoError);
  EXPECT_THROW(convert({one}, {.format = QaFormat::squad, .sentence_separator = SentenceSeparator::space}),
               ConfigError);
  EXPECT_EQ(write_qa_files({one}, options, {.file = out}).items, 1U);
}

}  // namespace
}  // namespace shine
