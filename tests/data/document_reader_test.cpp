#include "data/pretrain/document_reader.h"

#include <gtest/gtest.h>

#include "shine/common/error.h"
#include "support/faults.h"
#include "support/paths.h"

namespace shine {
namespace {

TEST(DocumentReader, GivesDocumentsWithTheirLines) {
  const test::TemporaryFolder folder;
  const auto file = folder.write("a.txt", "one\nstill one\n\n\ntwo");
  DocumentReader reader(file, "");
  RawDocument raw;
  ASSERT_TRUE(reader.next(raw));
  EXPECT_EQ(raw.bytes, "one\nstill one\n");
  EXPECT_EQ(raw.line, 3U);
  ASSERT_TRUE(reader.next(raw));
  EXPECT_EQ(raw.bytes, "two\n");
  EXPECT_FALSE(reader.next(raw));
  EXPECT_EQ(reader.position(), 19U);
}

TEST(DocumentReader, ReadsAFieldOfJsonLines) {
  const test::TemporaryFolder folder;
  const auto file = folder.write("a.jsonl", "\n{\"body\": \"x \"}\n{\"body\": \"\\ud800\"}\n{\"text\": \"y\"}\n");
  const DocumentFormat format(file, "body");
  DocumentReader reader(file, "");
  RawDocument raw;
  ASSERT_TRUE(reader.next(raw));
  EXPECT_EQ(raw.line, 2U);
  EXPECT_EQ(format.read(raw).text, "x ");
  ASSERT_TRUE(reader.next(raw));
  EXPECT_EQ(format.read(raw).text, "\uFFFD");
  EXPECT_TRUE(format.read(raw).repaired);
  ASSERT_TRUE(reader.next(raw));
  test::expect_fault<FormatError>("a.jsonl:4: the object has no key `body`", [&] { format.read(raw); });
}

TEST(DocumentReader, RefusesOtherKindsOfFiles) {
  test::expect_fault<ConfigError>("use .txt or .jsonl", [] { DocumentFormat("a.csv.gz"); });
}

}  // namespace
}  // namespace shine
