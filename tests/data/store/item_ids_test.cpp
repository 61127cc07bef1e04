#include "data/store/item_ids.h"

#include <gtest/gtest.h>

#include "data/byte_tokenizer.h"
#include "shine/common/error.h"
#include "support/faults.h"

namespace shine {
namespace {

constexpr std::int64_t kVocabulary = 300;
constexpr std::int64_t kFirst = 300, kNext = 301, kAnswer = 302;

TEST(ItemIds, StandInOneDocument) {
  const QaThreads item{"c", {{{"q1", "a1"}, {"q2", "a2"}}, {{"q3", "a3"}}}};
  const test::ByteTokenizer tokenizer;
  const ItemIds ids = tokenize_item(item, tokenizer, SpecialTokens::parse);
  const Ids document = item_document(ids, kVocabulary);
  EXPECT_EQ(document, (Ids{'c', kFirst, 'q', '1', kAnswer, 'a', '1', kNext, 'q', '2', kAnswer, 'a', '2', kFirst, 'q',
                           '3', kAnswer, 'a', '3'}));
  EXPECT_EQ(read_item_document(document, kVocabulary, "x"), ids);
  EXPECT_EQ(decode_thread(ids.threads[0], tokenizer), item.threads[0]);
}

TEST(ItemIds, ATextMayHaveNoTokens) {
  const ItemIds item{{}, {{{{}, {}}}}};
  EXPECT_EQ(item_document(item, kVocabulary), (Ids{kFirst, kAnswer}));
  EXPECT_EQ(read_item_document(Ids{kFirst, kAnswer}, kVocabulary, "x"), item);
}

TEST(ItemIds, MarksOutOfOrderAreDamage) {
  for (const Ids& ids :
       {Ids{}, Ids{1, 2}, Ids{1, kFirst}, Ids{1, kFirst, 2}, Ids{1, kAnswer, 2}, Ids{1, kFirst, kAnswer, kAnswer + 1},
        Ids{1, kNext, 2, kAnswer}, Ids{1, kFirst, 2, kFirst, 3, kAnswer}, Ids{1, kFirst, kAnswer, kAnswer},
        Ids{1, kFirst, kAnswer, kNext}}) {
    test::expect_fault<FormatError>("here: damaged", [&] { read_item_document(ids, kVocabulary, "here"); });
  }
}

TEST(ItemIds, TurnsBecomeThreadsOfTheirOwn) {
  const std::vector<std::vector<int>> threads{{1, 2}, {}, {3}};
  EXPECT_EQ(single_turns(threads), (std::vector<std::vector<int>>{{1}, {2}, {3}}));
}

}  // namespace
}  // namespace shine
