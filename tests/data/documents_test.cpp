#include "data/pretrain/documents.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "data/golden.h"
#include "shine/common/error.h"
#include "support/faults.h"

namespace shine {
namespace {

using Texts = std::vector<std::string>;

class DocumentsTest : public testing::Test {
 protected:
  std::filesystem::path file(const std::string& name, std::string_view content) { return folder_.write(name, content); }

  template <class Kind>
  void expect_error(const std::filesystem::path& path, const std::string& part) {
    test::expect_fault<Kind>(part, [&] { read_documents({path}, {}); });
  }

  test::TemporaryFolder folder_;
};

TEST_F(DocumentsTest, BlankLinesSplitAndInnerTextStays) {
  const auto path = file("a.txt", "\xEF\xBB\xBF\n\n  first line  \n\tsecond  line\n \n = Title = \n\n\nlast");
  const auto documents = read_documents({path}, {});
  EXPECT_EQ(documents.texts, (Texts{"first line  \n\tsecond  line", "= Title =", "last"}));
  EXPECT_EQ(documents.empty, 0U);
  EXPECT_EQ(documents.repaired, 0U);
}

TEST_F(DocumentsTest, ASeparatorLineSplitsAndEmptyDocumentsAreCounted) {
  const auto path = file("a.txt", "one\n\nstill one\n=====\n \n=====\ntwo ===== two\n=====\n");
  const auto documents = read_documents({path}, {.separator = "====="});
  EXPECT_EQ(documents.texts, (Texts{"one\n\nstill one", "two ===== two"}));
  EXPECT_EQ(documents.empty, 1U);
}

TEST_F(DocumentsTest, WindowsLineEndsBecomeNewlines) {
  const auto path = file("a.txt", "a\r\nb\rc\r\n\r\nd\r\n");
  EXPECT_EQ(read_documents({path}, {}).texts, (Texts{"a\nb\rc", "d"}));
}

TEST_F(DocumentsTest, InvalidBytesBecomeReplacementCharacters) {
  const auto path = file("a.txt", "ok\n\nbad \xff and \xe2\x82 end\n");
  const auto documents = read_documents({path}, {});
  EXPECT_EQ(documents.texts, (Texts{"ok", "bad \xEF\xBF\xBD and \xEF\xBF\xBD end"}));
  EXPECT_EQ(documents.repaired, 1U);
}

TEST_F(DocumentsTest, EmptyFilesGiveNothing) {
  EXPECT_TRUE(read_documents({file("a.txt", ""), file("b.jsonl", ""), file("c.txt", " \n\n")}, {}).texts.empty());
}

TEST_F(DocumentsTest, JsonLinesKeepTheirTextAsItIs) {
  const auto path = file("a.jsonl", R"({"text":" spaced\r\n\n", "id": 3})"
                                    "\n\n"
                                    R"({"text":"  "})"
                                    "\n"
                                    R"({"text":"é🙂"})");
  const auto documents = read_documents({path}, {});
  EXPECT_EQ(documents.texts, (Texts{" spaced\r\n\n", "é🙂"}));
  EXPECT_EQ(documents.empty, 1U);
}

TEST_F(DocumentsTest, JsonLinesAreRepairedAsPlainTextIs) {
  const auto path = file("a.jsonl",
                         "{\"text\":\"bad \xff and \xe2\x82 end\"}\n"
                         "{\"text\":\"whole \\ud83d\\ude42 \\\\ud800\"}\n"
                         "{\"text\":\"single \\ud800 and \\uDC00\"}\n");
  const auto documents = read_documents({path}, {});
  EXPECT_EQ(documents.texts,
            (Texts{"bad \uFFFD and \uFFFD end", "whole \U0001f642 \\ud800", "single \uFFFD and \uFFFD"}));
  EXPECT_EQ(documents.repaired, 2U);
  expect_error<FormatError>(file("b.jsonl", "{\"text\":\"a\"}\n{\"text\":\xff\"a\"}\n"), "b.jsonl:2:");
  expect_error<FormatError>(file("c.jsonl", "{\"text\":\"\\ud800\"\n"), "c.jsonl:1:");
}

TEST_F(DocumentsTest, FaultsNameFileAndLine) {
  std::string six;
  for (int i = 0; i < 6; ++i) six += "{\"text\":\"t\"}\n";
  expect_error<FormatError>(file("a.jsonl", six + "{\"text\":\n" + six), "a.jsonl:7:");
  expect_error<FormatError>(file("b.jsonl", six + "[\"text\"]\n"), "b.jsonl:7: expected an object, found array");
  expect_error<FormatError>(file("c.jsonl", six + "{\"txt\":\"\"}\n"), "c.jsonl:7: the object has no key `text`");
  expect_error<FormatError>(file("d.jsonl", six + "{\"text\":5}\n"), "d.jsonl:7: expected a string in `text`, found n");
  expect_error<ConfigError>(file("e.parquet", "x"), "e.parquet: unknown kind of text file \".parquet\"");
  expect_error<IoError>(folder_.path() / "absent.txt", "absent.txt");
  expect_error<IoError>(folder_.path() / "absent.jsonl", "absent.jsonl");
  EXPECT_THROW(read_documents({}, {}), ConfigError);
}

TEST_F(DocumentsTest, MaxTextsCountsOverAllFilesAndStopsReading) {
  const std::vector files{file("a.txt", "1\n\n2\n\n3"), file("b.jsonl", "{\"text\":\"4\"}\nbroken")};
  EXPECT_EQ(read_documents(files, {.max_texts = 2}).texts, (Texts{"1", "2"}));
  EXPECT_EQ(read_documents(files, {.max_texts = 4}).texts, (Texts{"1", "2", "3", "4"}));
  EXPECT_THROW(read_documents(files, {.max_texts = 5}), FormatError);
}

Texts numbered(int count, int different) {
  Texts texts;
  for (int i = 0; i < count; ++i) texts.push_back("text " + std::to_string(i * 7 % different));
  return texts;
}

TEST(SplitDocuments, IsDisjointCompleteAndOfTheWantedSize) {
  const auto texts = numbered(200, 200);
  const auto split = split_documents(texts, 0.1, 5);
  EXPECT_EQ(split.validation.size(), 20U);
  Texts all = split.train;
  all.insert(all.end(), split.validation.begin(), split.validation.end());
  EXPECT_EQ(std::multiset<std::string>(all.begin(), all.end()), std::multiset<std::string>(texts.begin(), texts.end()));
  const auto place = [&](const std::string& text) { return std::ranges::find(texts, text) - texts.begin(); };
  EXPECT_TRUE(std::ranges::is_sorted(split.train, {}, place));
  EXPECT_TRUE(std::ranges::is_sorted(split.validation, {}, place));
}

TEST(SplitDocuments, DependsOnTheSeedAlone) {
  const auto texts = numbered(200, 200);
  EXPECT_EQ(split_documents(texts, 0.1, 5).validation, split_documents(texts, 0.1, 5).validation);
  EXPECT_NE(split_documents(texts, 0.1, 5).validation, split_documents(texts, 0.1, 6).validation);
}

TEST(SplitDocuments, EqualTextsStayTogether) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const auto split = split_documents(numbered(60, 6), 0.3, seed);
    EXPECT_EQ(split.validation.size(), 20U);
    for (const auto& text : split.validation) EXPECT_EQ(std::ranges::count(split.train, text), 0);
  }
}

TEST(SplitDocuments, AtLeastOneOnEachSide) {
  EXPECT_EQ(split_documents(numbered(5, 5), 0.0001, 1).validation.size(), 1U);
  EXPECT_EQ(split_documents(numbered(5, 5), 0.99, 1).train.size(), 1U);
  EXPECT_TRUE(split_documents(numbered(5, 5), 0, 1).validation.empty());
  EXPECT_THROW(split_documents(numbered(5, 1), 0.1, 1), ConfigError);
  EXPECT_THROW(split_documents(numbered(5, 5), 1, 1), ConfigError);
}

TEST(SplitDocuments, ValidationFilesAreTakenOutOfTraining) {
  const auto split = split_documents(Texts{"a", "b", "c", "b"}, Texts{"b", "x"});
  EXPECT_EQ(split.train, (Texts{"a", "c"}));
  EXPECT_EQ(split.validation, (Texts{"b", "x"}));
  EXPECT_EQ(split.dropped_from_train, 2U);
  EXPECT_THROW(split_documents(Texts{"a"}, Texts{"a"}), ConfigError);
}

TEST_F(DocumentsTest, TheConfigurationSaysWhereValidationComesFrom) {
  DataConfig config;
  config.train = {file("a.txt", "1\n\n2\n\n3\n\n \n\n4").string()};
  config.validation_share = 0.25;
  auto split = load_documents(config, 3);
  EXPECT_EQ(split.train.size(), 3U);
  EXPECT_EQ(split.validation.size(), 1U);

  config.validation = {file("v.txt", "8\n\n3\n\n\xff").string()};
  config.max_texts = 3;
  split = load_documents(config, 3);
  EXPECT_EQ(split.train, (Texts{"1", "2"}));
  EXPECT_EQ(split.validation, (Texts{"8", "3", "\xEF\xBF\xBD"}));
  EXPECT_EQ(split.dropped_from_train, 1U);
  EXPECT_EQ(split.repaired, 1U);
}

}  // namespace
}  // namespace shine
