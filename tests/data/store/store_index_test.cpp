#include "data/store/store_index.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "shine/common/error.h"
#include "support/faults.h"

namespace shine {
namespace {

StoreIndex example() {
  StoreIndex index;
  index.tokenizer = 0x0123456789ABCDEF;
  index.vocabulary = 300;
  index.options = {.special_tokens = SpecialTokens::escape,
                   .separator = "--",
                   .field = "body",
                   .split = 7,
                   .unique = true,
                   .shard_bytes = 4096};
  index.inputs = {{"a.txt", 12}, {"b.jsonl.gz", 34}};
  index.shards = {{2, 9, 0xFFFFFFFFFFFFFFFF}, {1, 4, 0}};
  index.statistics = {.read = 5,
                      .documents = 3,
                      .tokens = 13,
                      .longest = 6,
                      .empty = 1,
                      .duplicate = 1,
                      .repaired = 2,
                      .split_off = 1,
                      .changed = 1};
  index.statistics.lengths[3] = 3;
  return index;
}

void refuses(std::string_view part, const std::string& path, const nlohmann::json& value) {
  nlohmann::json object = nlohmann::json::parse(store_index_json(example()));
  object[nlohmann::json::json_pointer(path)] = value;
  test::expect_fault<FormatError>(part, [&] { parse_store_index(object.dump(), "x"); });
}

TEST(StoreIndex, ComesBackAsItWasWritten) {
  StoreIndex index = example();
  EXPECT_EQ(parse_store_index(store_index_json(index), "x"), index);
  EXPECT_EQ(index.text_vocabulary(), 300);
  index.options.contents = StoreContents::questions;
  EXPECT_EQ(index.text_vocabulary(), 300 - kItemMarks);
  index.next = InputPlace{1, 77};
  EXPECT_EQ(parse_store_index(store_index_json(index), "x"), index);
}

TEST(StoreIndex, RefusesWhatContradictsItself) {
  refuses("format", "/format", "something");
  refuses("version 2", "/version", 2);
  refuses("16 hexadecimal digits", "/tokenizer/fingerprint", "0x23456789abcdef");
  refuses("16 hexadecimal digits", "/shards/0/checksum", "0123");
  refuses("`vocabulary` is -1", "/tokenizer/vocabulary", -1);
  refuses("texts or questions", "/options/contents", "images");
  refuses("parse or escape", "/options/special_tokens", "eat");
  refuses("`documents` is 4294967296", "/shards/0/documents", std::int64_t{1} << 32);
  refuses("the statistics count 3 documents", "/shards/0/documents", 3);
  refuses("the statistics count 3 documents", "/shards/1/tokens", 5);
  refuses("the statistics count 12", "/statistics/documents", 12);
  refuses("too many documents", "/statistics/lengths/2", 4);
  refuses("`lengths` has", "/statistics/lengths", nlohmann::json::array({1, 2}));
  refuses("key \"next\" is missing", "/complete", false);
}

TEST(StoreIndex, TellsStoresApart) {
  const StoreIndex index = example();
  StoreIndex other = index;
  other.inputs[0].name = "elsewhere.txt";
  EXPECT_EQ(other.fingerprint(), index.fingerprint());
  other.shards[1].content = 1;
  EXPECT_NE(other.fingerprint(), index.fingerprint());
  other = index;
  other.tokenizer = 1;
  EXPECT_NE(other.fingerprint(), index.fingerprint());
}

}  // namespace
}  // namespace shine
