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

TEST_F(DocumentsTest, FilesOfWindowsAndPackedOnesAreReadAsThePlainOne) {
  const Texts expected{"erste Zeile\nzweite", "Grüße"};
  const std::string utf16(
      "\xff\xfe"
      "e\0r\0s\0t\0e\0 \0Z\0e\0i\0l\0e\0\r\0\n\0z\0w\0e\0i\0t\0e\0\r\0\n\0\r\0\n\0"
      "G\0r\0\xfc\0\xdf\0"
      "e\0",
      58);
  const auto documents = read_documents({file("a.TXT", utf16)}, {});
  EXPECT_EQ(documents.texts, expected);
  EXPECT_EQ(documents.repaired, 0U);
  const std::string lone(
      "\xff\xfe"
      "a\0\x3d\xd8"
      "b\0",
      8);
  const auto damaged = read_documents({file("a.txt", lone)}, {});
  EXPECT_EQ(damaged.texts, Texts{"a\uFFFDb"});
  EXPECT_EQ(damaged.repaired, 1U);
  // {"text": "abc"} and a newline, by Python's gzip.
  const std::string packed(
      "\x1f\x8b\x08\0\0\0\0\0\x02\x03\xab\x56\x2a\x49\xad\x28\x51\xb2\x52\x50\x4a\x4c\x4a\x56\xaa\xe5\x02\x00\xc0"
      "\xd0\x40\xdc\x10\0\0\0",
      36);
  EXPECT_EQ(read_documents({file("a.jsonl.gz", packed + packed)}, {}).texts, (Texts{"abc", "abc"}));
  expect_error<FormatError>(file("b.jsonl", packed), "b.jsonl: a gzip file under another name");
  expect_error<FormatError>(file("c.jsonl", utf16), "c.jsonl: UTF-16 by its byte order mark; JSON is UTF-8");
  expect_error<ConfigError>(file("d.csv.gz", packed), "d.csv.gz: unknown kind of text file \".csv\"");
}

TEST_F(DocumentsTest, ManyRepairedTextsAreWarnedOfAndOtherEncodingsRefused) {
  const auto log_of = [&](const std::string& name, std::string_view content) {
    testing::internal::CaptureStderr();
    read_documents({file(name, content)}, {});
    return testing::internal::GetCapturedStderr();
  };
  std::string sound, latin1, lines;
  for (int i = 0; i < 30; ++i) {
    sound += "Ein Café in Köln " + std::to_string(i) + "\n\n";
    latin1 += "Ein Caf\xe9 in K\xf6ln f\xfcr " + std::to_string(i) + "\n\n";
    lines += "{\"text\": \"Ein Caf\xe9 f\xfcr " + std::to_string(i) + "\"}\n";
  }
  EXPECT_EQ(log_of("sound.txt", sound + "one damaged \xe9\n"), "");
  const std::string log = log_of("latin1.txt", latin1);
  EXPECT_NE(log.find("latin1.txt: 30 of 30 texts hold bytes that are no UTF-8; 90 bytes became U+FFFD"),
            std::string::npos)
      << log;
  EXPECT_NE(log_of("latin1.jsonl", lines).find("30 of 30 texts"), std::string::npos);
  const std::string cyrillic =
      "\xcf\xf0\xe8\xe2\xe5\xf2, \xf1\xf2\xe0\xf0\xfb\xe9 \xec\xee\xf1\xf2 \xf7\xe5\xf0\xe5\xe7";
  expect_error<FormatError>(file("cp1251.txt", cyrillic), "cp1251.txt: no text in UTF-8: 21 of 26 bytes are no part");
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

  config.train = {file("one.txt", "1\n\n1").string(), file("none.txt", "").string()};
  try {
    load_documents(config, 3);
    ADD_FAILURE();
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find("one.txt, "), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("none.txt: a validation share needs at least two"), std::string::npos);
  }
  config.train = {(folder_.path() / "a.txt").string()};

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
