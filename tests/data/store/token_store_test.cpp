#include "data/store/token_store.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include "data/store/seen_texts.h"
#include "data/store/store_files.h"
#include "shine/common/error.h"
#include "support/faults.h"

namespace shine {
namespace {

using test::StoreFiles;

/// Changes a shard's header and makes its checksum right again.
void edit_header(const std::filesystem::path& path, const std::function<void(ShardHeader&)>& edit) {
  std::string bytes = test::read_bytes(path);
  ShardHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  edit(header);
  header.checksum = header_checksum(header);
  std::memcpy(bytes.data(), &header, sizeof header);
  test::write_bytes(path, bytes);
}

void edit_bytes(const std::filesystem::path& path, std::size_t at, std::uint64_t value, std::size_t count) {
  std::string bytes = test::read_bytes(path);
  std::memcpy(bytes.data() + at, &value, count);
  test::write_bytes(path, bytes);
}

class DamagedStore : public ::testing::Test {
 protected:
  DamagedStore() { files_.store({"ab", "cde", "f"}); }
  std::filesystem::path shard() const { return files_.at("store") / shard_name(0); }
  void refuses(std::string_view part) const {
    test::expect_fault<FormatError>(part, [&] { TokenStore(files_.at("store")); });
  }
  StoreFiles files_;
};

TEST_F(DamagedStore, IsRefusedByItsHeader) {
  edit_bytes(shard(), 0, 'X', 1);
  refuses("no shard of a token store");
  edit_bytes(shard(), 0, 'S', 1);
  edit_bytes(shard(), 16, 9, 1);
  refuses("header's checksum");
}

TEST_F(DamagedStore, IsRefusedByCountsThatLie) {
  edit_header(shard(), [](ShardHeader& header) { header.documents = std::uint64_t{1} << 61; });
  refuses("more than a shard holds");
  edit_header(shard(), [](ShardHeader& header) { header.documents = 4; });
  refuses("its header says");
  // The same size with other counts: one document fewer is 16 bytes, 4 ids more.
  edit_header(shard(), [](ShardHeader& header) {
    header.documents = 2;
    header.tokens = 10;
  });
  refuses("do not span");
}

TEST_F(DamagedStore, IsRefusedWhereTheIndexNamesAnother) {
  edit_header(shard(), [](ShardHeader& header) { header.number = 1; });
  refuses("not the shard");
  edit_header(shard(), [](ShardHeader& header) {
    header.number = 0;
    header.content ^= 1;
  });
  refuses("not the shard");
}

TEST_F(DamagedStore, IsRefusedWhenCutShort) {
  const std::string bytes = test::read_bytes(shard());
  for (const std::size_t size : {std::size_t{0}, std::size_t{63}, std::size_t{64}, bytes.size() - 1}) {
    test::write_bytes(shard(), bytes.substr(0, size));
    EXPECT_THROW(TokenStore(files_.at("store")), FormatError) << size;
  }
}

TEST_F(DamagedStore, FindsOffsetsThatLeadOutside) {
  edit_bytes(shard(), 64 + 8, 7, 8);
  const TokenStore store(files_.at("store"));
  test::expect_fault<FormatError>("offsets of document 0", [&] { store.ids(0); });
  test::expect_fault<FormatError>("offsets of document 1", [&] { store.length(1); });
  EXPECT_EQ(store.length(2), 1U);
  test::expect_fault<FormatError>("checksum differs", [&] { store.verify(); });
}

TEST_F(DamagedStore, FindsIdsOutsideTheVocabulary) {
  edit_bytes(shard(), 64 + 8 * 7 + 4, 300, 4);
  const TokenStore store(files_.at("store"));
  test::expect_fault<FormatError>("holds the id 300", [&] { store.ids(0); });
  EXPECT_EQ(store.ids(1), (std::vector<std::int64_t>{'c', 'd', 'e'}));
}

TEST(TokenStore, SpansShards) {
  const StoreFiles files;
  const auto texts = test::made_up_texts(100, 30);
  const auto store = files.store(texts, {.shard_bytes = 1000});
  ASSERT_GT(store->index().shards.size(), 5U);
  ASSERT_EQ(store->documents(), texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) EXPECT_EQ(test::ByteTokenizer().decode(store->ids(i)), texts[i]);
  test::expect_fault<ConfigError>("no document 100", [&] { store->ids(100); });
}

TEST(TokenStore, AsksForItsTokenizer) {
  const StoreFiles files;
  const auto store = files.store({"a"});
  store->require_tokenizer(test::ByteTokenizer(), SpecialTokens::parse);
  test::expect_fault<ConfigError>("text.special_tokens=parse",
                                  [&] { store->require_tokenizer(test::ByteTokenizer(), SpecialTokens::escape); });
  test::ByteTokenizer other;
  other.add_tokens(std::vector<AddedToken>{{.content = "<more>"}});
  test::expect_fault<ConfigError>("another tokenizer", [&] { store->require_tokenizer(other, SpecialTokens::parse); });
}

TEST(SeenTexts, FindsWhatCameBefore) {
  SeenTexts seen(1 << 20);
  for (int i = 0; i < 10'000; ++i) EXPECT_TRUE(seen.insert(text_key(std::to_string(i))));
  for (int i = 0; i < 10'000; ++i) EXPECT_FALSE(seen.insert(text_key(std::to_string(i))));
  EXPECT_EQ(seen.size(), 10'000U);
  EXPECT_LE(seen.bytes(), std::uint64_t{1} << 20);
}

}  // namespace
}  // namespace shine
