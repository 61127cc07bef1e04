#include "io/files/text_input.h"

#include <gtest/gtest.h>
#include <zstd.h>

#include <vector>

#include "io/expect_fault.h"
#include "io/files/text_lines.h"
#include "shine/common/error.h"
#include "support/paths.h"

namespace shine {
namespace {

using namespace std::string_literals;
using test::expect_fault;

const std::string kText = "zwei Stück 🙂\n";
/// kText by Python's gzip and by the program zstd.
const std::string kGzip =
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x2a\x4f\xcd\x54\x08\x2e\x39\xbc\x27\x39\x5b\xe1\xc3\xfc\x99\x4d\x5c"
    "\x00\xdf\xcf\xae\x03\x11\x00\x00\x00"s;
const std::string kZstd =
    "\x28\xb5\x2f\xfd\x04\x58\x89\x00\x00\x7a\x77\x65\x69\x20\x53\x74\xc3\xbc\x63\x6b\x20\xf0\x9f\x99\x82\x0a\x7e\xb2"
    "\x33\x1f"s;

class TextSourceTest : public testing::Test {
 protected:
  std::filesystem::path file(const std::string& name, std::string_view content) {
    test::write_bytes(folder_.path() / name, content);
    return folder_.path() / name;
  }
  std::string read(const std::string& name, std::string_view content, TextForm form = TextForm::any) {
    return read_foreign_text(file(name, content), form);
  }
  void expect_refused(const std::string& name, std::string_view content, const std::string& part,
                      TextForm form = TextForm::any) {
    SCOPED_TRACE(part);
    expect_fault<FormatError>(part, [&] { read(name, content, form); });
  }

  test::TemporaryFolder folder_;
};

/// Units of two or four bytes.
std::string wide(const std::vector<std::uint32_t>& units, std::size_t bytes, bool big_endian) {
  std::string text;
  for (const std::uint32_t unit : units) {
    for (std::size_t i = 0; i < bytes; ++i) {
      text += static_cast<char>(unit >> 8 * (big_endian ? bytes - 1 - i : i) & 0xFF);
    }
  }
  return text;
}

TEST_F(TextSourceTest, ByteOrderMarksTellTheEncoding) {
  EXPECT_EQ(read("a.txt", kText), kText);
  EXPECT_EQ(read("a.txt", "\xEF\xBB\xBF" + kText), kText);
  EXPECT_EQ(read("a.txt", ""), "");
  EXPECT_EQ(read("a.txt", "\xEF\xBB\xBF"), "");
  const std::vector<std::uint32_t> utf16{0xFEFF, 'a', 0xE9, 0x20AC, 0xD83D, 0xDE42, '\n'};
  const std::vector<std::uint32_t> utf32{0xFEFF, 'a', 0xE9, 0x20AC, 0x1F642, '\n'};
  for (const bool big_endian : {false, true}) {
    EXPECT_EQ(read("a.txt", wide(utf16, 2, big_endian)), "aé€🙂\n");
    EXPECT_EQ(read("a.txt", wide(utf32, 4, big_endian)), "aé€🙂\n");
    for (const std::size_t bytes : {2U, 4U}) {
      expect_refused("a.jsonl", wide({0xFEFF, '{', '}'}, bytes, big_endian),
                     str("a.jsonl: UTF-", 8 * bytes, " by its byte"), TextForm::utf8);
    }
  }
  EXPECT_EQ(read("a.jsonl", "\xEF\xBB\xBF{}", TextForm::utf8), "{}");
  EXPECT_EQ(read("a.txt.gz", "\xEF\xBB\xBF", TextForm::bytes), "\xEF\xBB\xBF");
}

TEST_F(TextSourceTest, DecodingIsWarnedOf) {
  testing::internal::CaptureStderr();
  read("notes.txt", wide({0xFEFF, 'a'}, 4, true));
  read("plain.txt", "\xEF\xBB\xBF" + kText);
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("notes.txt: UTF-32 by its byte order mark"), std::string::npos) << log;
  EXPECT_EQ(log.find("plain.txt"), std::string::npos) << log;
}

TEST_F(TextSourceTest, DamagedCharactersBecomeOneByteEach) {
  const auto utf16 = [&](const std::vector<std::uint32_t>& units, std::string_view rest = {}) {
    return read("a.txt", wide({0xFEFF}, 2, false) + wide(units, 2, false).append(rest));
  };
  EXPECT_EQ(utf16({'a', 0xD83D, 'b'}),
            "a\xff"
            "b");
  EXPECT_EQ(utf16({0xDE42, 0xD83D, 0xD83D, 0xDE42}), "\xff\xff🙂");
  EXPECT_EQ(utf16({'a', 0xD83D}), "a\xff");
  EXPECT_EQ(utf16({'a'}, "x"), "a\xff");
  EXPECT_EQ(read("a.txt", wide({0xFEFF, 0x110000, 0xD800, 'b'}, 4, true) + "\0\0"s),
            "\xff\xff"
            "b\xff");
}

TEST_F(TextSourceTest, LongWideTextIsDecodedAcrossPieces) {
  std::vector<std::uint32_t> units{0xFEFF, 'x'};
  std::string expected = "x";
  for (int i = 0; i < 50'000; ++i) {
    units.insert(units.end(), {0xD83D, 0xDE42, 0xE9});
    expected += "🙂é";
  }
  EXPECT_TRUE(read("a.txt", wide(units, 2, false)) == expected);
  TextLines lines(file("b.txt", wide(units, 2, true)), TextForm::any, 1 << 30);
  std::string_view line;
  ASSERT_TRUE(lines.next(line));
  EXPECT_TRUE(line == expected);
  EXPECT_FALSE(lines.next(line));
}

TEST_F(TextSourceTest, WhatIsNoTextIsRefusedByItsFirstBytes) {
  const std::vector<std::uint32_t> latin{'H', 'e', 'l', 'l', 'o', '\n'}, chinese{0x4F60, 0x597D, '\n', 0x4E16, 0x754C};
  for (const auto& text : {latin, chinese}) {
    expect_refused("a.txt", wide(text, 2, false),
                   "a.txt: UTF-16 without a byte order mark, by its zero bytes (convert");
    expect_refused("a.txt", wide(text, 2, false), "-f UTF-16LE");
    expect_refused("a.txt", wide(text, 2, true), "-f UTF-16BE");
    expect_refused("a.txt", wide(text, 4, false), "-f UTF-32LE");
    expect_refused("a.txt", wide(text, 4, true), "-f UTF-32BE");
  }
  expect_refused("a.txt", "a\ntext\0 with\0\0zeros"s, "a.txt:2: no text: a zero byte");
  expect_refused("a.txt", "one zero byte at an odd place\0, not UTF-16"s, "a.txt:1: no text: a zero byte");
  expect_refused("a.txt", kGzip, "a.txt: a gzip file under another name (add .gz");
  expect_refused("a.jsonl", kZstd, "a.jsonl: a zstd file under another name", TextForm::utf8);
  expect_refused("a.txt", "PK\3\4 ..", "a.txt: a zip archive (unpack it)");
  expect_refused("a.jsonl", "PAR1\x15\4", "a parquet file (export it as JSON lines)", TextForm::utf8);
  expect_refused("a.txt", "\xfd\x37zXZ\0"s, "an xz file");
  expect_refused("a.txt", "%PDF-1.4", "a PDF document");
  EXPECT_EQ(read("a.txt", kGzip, TextForm::bytes), kGzip);
  EXPECT_EQ(read("a.txt", "PAR1 and BZh9 are words"), "PAR1 and BZh9 are words");
}

TEST_F(TextSourceTest, PackedFilesAreUnpackedByTheirName) {
  const std::string skippable = "\x50\x2a\x4d\x18\3\0\0\0abc"s;
  EXPECT_EQ(read("a.txt.gz", kGzip), kText);
  EXPECT_EQ(read("A.TXT.GZ", kGzip + kGzip), kText + kText);
  EXPECT_EQ(read("a.txt.gz", kGzip + "\0\0\0"s + kGzip + "\0"s), kText + kText);
  EXPECT_EQ(read("a.jsonl.zst", kZstd, TextForm::utf8), kText);
  EXPECT_EQ(read("a.txt.zst", skippable + kZstd + kZstd + skippable), kText + kText);
  EXPECT_EQ(inner_extension("b/A.TXT.gz"), ".txt");
  EXPECT_EQ(inner_extension("a.jsonl.ZST"), ".jsonl");
  EXPECT_EQ(inner_extension("a.gz"), "");
  EXPECT_EQ(inner_extension("a.b.JSONL"), ".jsonl");
}

TEST_F(TextSourceTest, DamagedPackedFilesAreRefused) {
  for (const auto& [name, packed] : {std::pair{"a.txt.gz", kGzip}, std::pair{"a.txt.zst", kZstd}}) {
    for (std::size_t size = 0; size < packed.size(); ++size) {
      SCOPED_TRACE(str(name, " ", size));
      expect_fault<FormatError>("", [&, &name = name, &packed = packed] { read(name, packed.substr(0, size)); });
    }
    std::string flipped = packed;
    char& in_checksum = flipped[packed.size() - (packed == kGzip ? 6 : 2)];
    in_checksum = static_cast<char>(in_checksum ^ 4);
    expect_refused(name, flipped, "damaged");
    expect_refused(name, kText, "and is no ");
  }
  expect_refused("a.txt.gz", kGzip + "x", "bytes after the end of the gzip data");
  expect_refused("a.txt.gz", kGzip + kGzip.substr(0, 20), "cut short");
  expect_refused("a.txt.zst", kZstd + "x", "damaged zstd data");
  expect_fault<IoError>("absent.gz", [&] { read_foreign_text(folder_.path() / "absent.gz", TextForm::any); });
}

TEST_F(TextSourceTest, WhatAFewBytesUnpackToIsBounded) {
  const std::string zeros(std::size_t{64} << 20, 'x');
  std::string frame(ZSTD_compressBound(zeros.size()), '\0');
  frame.resize(ZSTD_compress(frame.data(), frame.size(), zeros.data(), zeros.size(), 1));
  std::string bomb;
  for (int i = 0; i < 18; ++i) bomb += frame;
  TextInput source(file("bomb.txt.zst", bomb), TextForm::any);
  std::string into(std::size_t{1} << 20, '\0');
  expect_fault<FormatError>("bomb.txt.zst: unpacks to more than 1 GiB and 200 times its size", [&] {
    while (source.read(into.data(), into.size()) == into.size()) continue;
  });
  expect_fault<FormatError>("expected at most 1000 bytes",
                            [&] { read_foreign_text(folder_.path() / "bomb.txt.zst", TextForm::any, 1000); });
}

TEST_F(TextSourceTest, LinesOfAPackedFileHaveTheirNumbers) {
  TextLines lines(file("a.txt.gz", kGzip + kGzip), TextForm::any, 100);
  std::string_view line;
  ASSERT_TRUE(lines.next(line));
  EXPECT_EQ(line, "zwei Stück 🙂");
  ASSERT_TRUE(lines.next(line));
  EXPECT_EQ(lines.number(), 2U);
  EXPECT_FALSE(lines.next(line));
  TextLines few(folder_.path() / "a.txt.gz", TextForm::any, 3);
  expect_fault<FormatError>("a.txt.gz:1: line over 3 bytes", [&] { few.next(line); });
}

}  // namespace
}  // namespace shine
