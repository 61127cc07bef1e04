// The private parts of the layer: UTF-8, normalisation, patterns, JSON strings.
#include <gtest/gtest.h>

#include "shine/common/error.h"
#include "text/bpe/byte_level.h"
#include "text/json_text.h"
#include "text/unicode/nfc.h"
#include "text/unicode/regex.h"
#include "text/unicode/utf8.h"

namespace shine {
namespace {

TEST(Utf8, InvalidPartsAreReplacedAsPythonDoes) {
  const auto replaced = [](std::string_view bytes) { return replace_invalid_utf8(bytes); };
  EXPECT_EQ(replaced("a\xff"
                     "b"),
            "a\uFFFDb");
  EXPECT_EQ(replaced("\xe3\x81\x82\xe3\x81"), "\u3042\uFFFD");
  EXPECT_EQ(replaced("\xed\xa0\x80"), "\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(replaced("\xf0\x9f\x99"), "\uFFFD");
  EXPECT_EQ(replaced("\xf0\x80\x80\x80"), "\uFFFD\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(replaced("\xf4\x90\x80\x80"), "\uFFFD\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(replaced("\xe2\x82"
                     "a"),
            "\uFFFDa");
  EXPECT_EQ(replaced("\xc0\xaf"), "\uFFFD\uFFFD");
  EXPECT_EQ(replaced("\U0010FFFF\u0800\u0080"), "\U0010FFFF\u0800\u0080");
}

TEST(Utf8, OffsetsLeadBackAndForth) {
  OffsetMap offsets;
  EXPECT_EQ(replace_invalid_utf8("a\xff"
                                 "b\xe3\x81"
                                 "c",
                                 &offsets),
            "a\uFFFDb\uFFFDc");
  EXPECT_EQ(offsets.to_source({0, 1}), (TextSpan{0, 1}));
  EXPECT_EQ(offsets.to_source({1, 4}), (TextSpan{1, 2}));
  EXPECT_EQ(offsets.to_source({2, 5}), (TextSpan{1, 3}));
  EXPECT_EQ(offsets.to_source({5, 9}), (TextSpan{3, 6}));
  EXPECT_EQ(offsets.to_source({8, 9}), (TextSpan{5, 6}));
}

TEST(Nfc, ComposesAndReorders) {
  const auto nfc = [](std::string_view text) { return normalize_nfc(text).text; };
  EXPECT_EQ(nfc("e\u0301"), "\u00e9");
  EXPECT_EQ(nfc("\u212b\u2126"), "\u00c5\u03a9");
  EXPECT_EQ(nfc("a\u0301\u0323"), "\u1ea1\u0301");
  EXPECT_EQ(nfc("\u1100\u1161\u11a8"), "\uac01");
  EXPECT_EQ(nfc("\u09c7\u09be"), "\u09cb");
  EXPECT_EQ(nfc("\u0f73\u0f71"), "\u0f71\u0f71\u0f72");
  EXPECT_EQ(nfc("\u0928\u093c"), "\u0929");
  EXPECT_EQ(nfc("\u0958"), "\u0915\u093c");
}

TEST(Nfc, CharactersLaterThanUnicodeNineStay) {
  const std::string text = "\u0344\u135f\U00011d97";  // the last has a combining class since Unicode 11
  EXPECT_EQ(normalize_nfc(text).text, "\u0308\u0301\u135f\U00011d97");
  EXPECT_EQ(normalize_nfc("\U00011935\U00011930").text, "\U00011935\U00011930");
}

TEST(Nfc, OffsetsKeepWhatDidNotChange) {
  const NormalizedText normalized = normalize_nfc("xe\u0301\n\u0301\u0323y");
  EXPECT_EQ(normalized.text, "x\u00e9\n\u0323\u0301y");
  EXPECT_EQ(normalized.offsets.to_source({1, 3}), (TextSpan{1, 4}));
  EXPECT_EQ(normalized.offsets.to_source({3, 4}), (TextSpan{4, 5}));
  EXPECT_EQ(normalized.offsets.to_source({4, 6}), (TextSpan{5, 9}));
  EXPECT_EQ(normalized.offsets.to_source({8, 9}), (TextSpan{9, 10}));
}

TEST(ByteLevel, SpellsEveryByteAndReadsItBack) {
  std::string bytes;
  for (int byte = 0; byte < 256; ++byte) bytes.push_back(static_cast<char>(byte));
  EXPECT_EQ(unspell_bytes(spell_bytes(bytes)), bytes);
  EXPECT_EQ(spell_bytes(" a\n\xff"), "\u0120a\u010a\u00ff");
  EXPECT_FALSE(unspell_bytes("a b"));
  EXPECT_FALSE(unspell_bytes("\u4e00"));
}

std::vector<std::string> matches(const char* pattern, std::string_view text) {
  std::vector<std::string> found;
  for (const TextSpan& span : Regex(pattern, "test").find_all(text))
    found.emplace_back(text.substr(span.begin, span.end - span.begin));
  return found;
}

TEST(Regex, ClassesAreThoseOfOniguruma) {
  using Strings = std::vector<std::string>;
  EXPECT_EQ(matches("\\s+", "a\u180eb\u0085\u3000c"), (Strings{"\u0085\u3000"}));
  EXPECT_EQ(matches("[^\\s\\p{L}]", "a \u180e"), (Strings{"\u180e"}));
  EXPECT_EQ(matches("\\w+", "e\u0301_x \u203f\u0661\u2153"), (Strings{"e\u0301_x", "\u203f\u0661"}));
  EXPECT_EQ(matches("(?i:'s)", "'S '\u017f 's"), (Strings{"'S", "'\u017f", "'s"}));
  EXPECT_EQ(matches("[\\x{61}-\\x{63}]\\+?\\p{L}+", "ab+c"), (Strings{"ab"}));
  EXPECT_EQ(matches("x*", "axb"), (Strings{"", "x", ""}));
}

// What the Split of `tokenizers` 0.22.2 matches.
TEST(Regex, PropertiesAreReadAsOnigurumaReadsThem) {
  using Strings = std::vector<std::string>;
  EXPECT_EQ(matches(R"(\pL+)", "it's a pL PL pLL"), (Strings{"pL", "pLL"}));  // without braces no property
  EXPECT_EQ(matches(R"(\PL+)", "pL PLL x"), (Strings{"PLL"}));
  EXPECT_EQ(matches(R"([\pL]+)", "pL ab Lp"), (Strings{"pL", "Lp"}));
  EXPECT_EQ(matches(R"(\p)", "p P"), (Strings{"p"}));
  EXPECT_EQ(matches(R"(\p{^L}+)", "ab 12"), (Strings{" 12"}));
  EXPECT_EQ(matches(R"(\P{^L}+)", "ab 12"), (Strings{"ab"}));
  EXPECT_EQ(matches(R"(\p{Han}+)", "\u3001\u4e2d\u30fc\u3007"), (Strings{"\u4e2d", "\u3007"}));  // no extensions
  EXPECT_EQ(matches(R"(\P{Han}+)", "\u3001\u4e2d"), (Strings{"\u3001"}));
  EXPECT_EQ(matches(R"(\p{hiragana})", "\u30fc\u3042"), (Strings{"\u3042"}));
  EXPECT_EQ(matches(R"(\p{Letter}+)", "ab1"), (Strings{"ab"}));
  EXPECT_EQ(matches(R"(\p{Decimal_Number}+)", "ab12\u00bd"), (Strings{"12"}));
  EXPECT_EQ(matches(R"(\p{^space separator}+)", "ab c"), (Strings{"ab", "c"}));
}

TEST(Regex, OptionsHoldToTheEndOfTheirGroup) {
  using Strings = std::vector<std::string>;
  EXPECT_EQ(matches("(?i)a|b", "A B"), (Strings{"A", "B"}));
  EXPECT_EQ(matches("x(?i)a|b", "xA B b xB"), (Strings{"xA", "xB"}));  // x(?i:a|b)
  EXPECT_EQ(matches("(?:a(?i)b|c)|d", "aC aD D d"), (Strings{"aC", "d"}));
  EXPECT_EQ(matches("(a(?i)b|c)d", "aBd Cd aCd"), (Strings{"aBd", "aCd"}));
  EXPECT_EQ(matches("a(?i)b(?-i)c|d", "aBc aBC aBd D"), (Strings{"aBc", "aBd"}));
  EXPECT_EQ(matches("[(?i)]a", "iA ia"), (Strings{"ia"}));
  EXPECT_EQ(matches(R"(\((?i)a)", "(A"), (Strings{"(A"}));
  EXPECT_EQ(matches("(?x: a b )c", "abc"), (Strings{"abc"}));
  EXPECT_EQ(matches("a(?#(c)b", "ab"), (Strings{"ab"}));
}

TEST(Regex, LongSubjectsDoNotExhaustTheStack) {
  const std::string text(1 << 20, 'a');
  EXPECT_EQ(Regex("(?:a|b)+", "test").find_all(text).size(), 1U);
  EXPECT_EQ(Regex::literal("a.", "test").find_all("a.aa.").size(), 2U);
}

TEST(Regex, APatternThatTriesEveryWayIsGivenUp) {
  const Regex pattern("(?:a|a){0,25}[bc]", "test");
  EXPECT_THROW(pattern.find_all(std::string(1000, 'a')), Error);
  EXPECT_EQ(pattern.find_all("aab").size(), 1U);
}

TEST(JsonText, ReadsStringsAndRepairsThem) {
  EXPECT_EQ(parse_json_text(R"("a\n\u00e9\ud83d\ude42")", "x"), "a\n\u00e9\U0001f642");
  EXPECT_EQ(parse_json_text(R"("\ud83d \ude42\ud83dA")", "x"), "\uFFFD \uFFFD\uFFFDA");
  EXPECT_EQ(parse_json_text(R"("\\ud83d")", "x"), "\\ud83d");
  EXPECT_EQ(parse_json_text("\"\xff\"", "x"), "\uFFFD");
  const std::string well_formed = R"({"é\\": "\\ud800 \ud83d\uDE42 \u00e9\n", "b": [1]})";
  EXPECT_EQ(repair_json(well_formed), well_formed);
  EXPECT_EQ(repair_json("{\"a\": \"\xe2\x82\\uDC00\"}"), "{\"a\": \"\uFFFD\\ufffd\"}");
  for (const char* bad : {"", "3", "[\"a\"]", "\"a", "\"\\u12\"", "\"\\ud83", "\"a\" x", "\\"})
    EXPECT_THROW(parse_json_text(bad, "x"), FormatError) << bad;
}

}  // namespace
}  // namespace shine
