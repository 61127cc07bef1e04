#include "data/pretrain/words.h"

#include <gtest/gtest.h>

#include "data/golden.h"

namespace shine {
namespace {

TEST(Words, KeptCountsEqualPythons) {
  const auto goldens = test::read_data_golden("words.json");
  for (const auto& golden : goldens["kept"]) {
    EXPECT_EQ(words_kept(golden["words"].get<std::size_t>(), golden["drop"].get<double>()),
              golden["kept"].get<std::size_t>())
        << golden;
  }
}

TEST(Words, RoundsHalvesToEvenAndKeepsOneAndDropsOne) {
  EXPECT_EQ(words_kept(10, 0.25), 8U);  // 7.5
  EXPECT_EQ(words_kept(6, 0.25), 4U);   // 4.5
  EXPECT_EQ(words_kept(2, 0.1), 1U);
  EXPECT_EQ(words_kept(100, 0.0), 99U);
  EXPECT_EQ(words_kept(100, 1.0), 1U);
  EXPECT_EQ(words_kept(1, 0.3), 1U);
  EXPECT_EQ(words_kept(0, 0.3), 0U);
}

TEST(Words, CutsEqualPythonsSplit) {
  const auto goldens = test::read_data_golden("words.json");
  for (const auto& golden : goldens["cut"]) {
    const auto text = golden["text"].get<std::string>();
    const auto keep = golden["keep"].get<std::size_t>();
    EXPECT_EQ(count_words(text), golden["count"].get<std::size_t>()) << golden;
    EXPECT_EQ(first_words(text, keep, false), golden["spaced"].get<std::string>()) << golden;
    EXPECT_EQ(first_words(text, keep, true), golden["collapsed"].get<std::string>()) << golden;
    EXPECT_EQ(trim_whitespace(text), golden["trimmed"].get<std::string>()) << golden;
  }
}

TEST(Words, InvalidBytesArePartsOfWords) {
  EXPECT_EQ(count_words("a\xff b\x80 \xc3"), 3U);
  EXPECT_EQ(first_words("a\xff b\x80 \xc3", 2, false), "a\xff b\x80");
}

TEST(Words, JoinWords) {
  EXPECT_EQ(join_words(" one\n\u00a0 two\t"), "one two");
  EXPECT_EQ(join_words(" \n"), "");
  EXPECT_TRUE(is_blank(" \n\u3000"));
  EXPECT_FALSE(is_blank(" . "));
}

}  // namespace
}  // namespace shine
