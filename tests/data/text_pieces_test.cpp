#include "data/pretrain/text_pieces.h"

#include <gtest/gtest.h>

#include <numeric>

#include "data/byte_tokenizer.h"
#include "data/pretrain/words.h"
#include "shine/common/error.h"
#include "support/paths.h"
#include "text/unicode/utf8.h"

namespace shine {
namespace {

using Pieces = std::vector<std::string>;

/// By bytes.
Pieces split(std::string_view text, std::int64_t room) {
  return split_text(text, room, test::ByteTokenizer(), SpecialTokens::parse);
}

TEST(TextPieces, ATextThatFitsStaysAsItIs) {
  EXPECT_EQ(split(" One. Two.\n", 11), Pieces{" One. Two.\n"});
  EXPECT_EQ(split("", 3), Pieces{""});
  EXPECT_EQ(split("      ", 3), Pieces{"      "}) << "nothing to cut";
  EXPECT_THROW(split("a", 0), ConfigError);
}

TEST(TextPieces, EndAtTheLastSentenceOrLineThatFits) {
  EXPECT_EQ(split("One is. Two are. Three", 16), (Pieces{"One is. Two are.", "Three"}));
  EXPECT_EQ(split("  One is. Two are. \n", 16), (Pieces{"One is. Two are."})) << "20 bytes with the space around it";
  EXPECT_EQ(split("  One is. Two are. \n", 15), (Pieces{"One is.", "Two are."}));
  EXPECT_EQ(split("One is. Two are. Three", 15), (Pieces{"One is.", "Two are. Three"}));
  EXPECT_EQ(split("a title\nwords and words", 15), (Pieces{"a title", "words and words"}));
  EXPECT_EQ(split("He said \"No.\" Then he left", 20), (Pieces{"He said \"No.\"", "Then he left"}));
  EXPECT_EQ(split("3.14 and v2.0 are numbers", 15), (Pieces{"3.14 and v2.0", "are numbers"})) << "no ends of sentences";
}

TEST(TextPieces, FullWidthStopsNeedNoSpaceBehindThem) {
  EXPECT_EQ(split("\u4f60\u597d\u3002\u518d\u89c1\u3002", 12), (Pieces{"\u4f60\u597d\u3002", "\u518d\u89c1\u3002"}));
  EXPECT_EQ(split("\u300c\u597d\u3002\u300d\u518d\u89c1", 15), (Pieces{"\u300c\u597d\u3002\u300d", "\u518d\u89c1"}));
}

TEST(TextPieces, WithoutASentenceWordsStayWholeAndWithoutWordsCharacters) {
  EXPECT_EQ(split("alpha beta  gamma", 11), (Pieces{"alpha beta", "gamma"}));
  EXPECT_EQ(split("alpha beta", 9), (Pieces{"alpha", "beta"}));
  EXPECT_EQ(split("abcdefgh", 3), (Pieces{"abc", "def", "gh"}));
  EXPECT_EQ(split("\u00e4\u00f6\u00fc", 3), (Pieces{"\u00e4", "\u00f6", "\u00fc"})) << "two bytes each";
  EXPECT_EQ(split("\U0001F600\U0001F601", 2), (Pieces{"\U0001F600", "\U0001F601"})) << "none fits";
}

TEST(TextPieces, NothingButWhiteSpaceIsLostWithARealTokenizer) {
  const auto tokenizer = load_tokenizer(test::source_dir() / "configs/tiny-text/backbone");
  std::string text;
  for (int i = 0; i < 400; ++i) {
    text += "Mara keeps note " + std::to_string(i * 7919) +
            (i % 7 == 0   ? " \u2014 caf\u00e9!\n\n"
             : i % 3 == 0 ? "; "
                          : ". ");
  }
  for (const std::int64_t room : {5, 17, 64, 333}) {
    const Pieces pieces = split_text(text, room, *tokenizer, SpecialTokens::parse);
    std::string joined;
    std::int64_t tokens = 0;
    for (const std::string& piece : pieces) {
      const auto length = static_cast<std::int64_t>(tokenizer->encode(piece).ids.size());
      EXPECT_LE(length, room);
      EXPECT_TRUE(is_valid_utf8(piece));
      tokens += length;
      joined += joined.empty() ? piece : " " + piece;
    }
    if (room >= 17) {
      EXPECT_EQ(join_words(joined), join_words(text)) << room;
      EXPECT_GT(tokens, static_cast<std::int64_t>(pieces.size() - 1) * room * 6 / 10) << "as many as fit";
    }
  }
}

}  // namespace
}  // namespace shine
