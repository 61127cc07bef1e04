// shine_prepare text, run as a user does.
#include <gtest/gtest.h>

#include "common/random.h"
#include "data/store/store_files.h"
#include "data/store/token_store.h"
#include "integration/run_program.h"

namespace shine {
namespace {

using Words = std::vector<std::string>;

constexpr const char* kTokenizer = "configs/tiny-text/backbone";

Words command(const std::filesystem::path& input, const std::filesystem::path& output, const Words& more = {}) {
  Words words{"text", "--input", input.string(), "--tokenizer", kTokenizer, "--output", output.string()};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

TEST(PrepareText, WritesAStoreAndSaysWhatIsInIt) {
  const test::TemporaryFolder folder;
  const auto input = folder.write("a.jsonl", test::json_lines({"One text.", "  ", "Another text.", "One text."}));
  const auto store = folder.path() / "store";
  const auto made = test::run_program("shine_prepare", command(input, store, {"--unique"}));
  ASSERT_EQ(made.status, 0) << made.err;
  EXPECT_EQ(made.out.find(store.string() + ": 2 documents, "), 0U) << made.out;
  EXPECT_NE(made.out.find("read: 4 documents; dropped: 1 empty, 1 equal to an earlier one; 0 with repaired UTF-8\n"),
            std::string::npos)
      << made.out;
  EXPECT_EQ(TokenStore(store).documents(), 2U);
  const auto again = test::run_program("shine_prepare", command(input, store, {"--unique"}));
  EXPECT_EQ(again.out, made.out);
}

TEST(PrepareText, RefusesAnotherTokenizerInOneLine) {
  const test::TemporaryFolder folder;
  const auto input = folder.write("a.txt", "Some text.\n");
  const auto store = folder.path() / "store";
  ASSERT_EQ(test::run_program("shine_prepare", command(input, store)).status, 0);
  Words words = command(input, store);
  words[4] = "tests/golden/tokenizer/digits.json";
  const auto outcome = test::run_program("shine_prepare", words);
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(test::lines_of(outcome.err).size(), 1U) << outcome.err;
  EXPECT_NE(outcome.err.find("begun with another tokenizer"), std::string::npos) << outcome.err;
}

/// Killed at any moment, it goes on, and the end has the bytes of a writer that nobody disturbed.
TEST(PrepareText, GoesOnAfterTwentyKills) {
  constexpr int kills = 20;
  const test::TemporaryFolder folder;
  auto texts = test::made_up_texts(4000, 300);
  for (std::size_t i = 0; i < texts.size(); i += 5) texts[i] = texts[i / 2];
  const auto input = folder.write("a.jsonl", test::json_lines(texts));
  const Words options{"--unique", "--shard-size", "0.05", "--threads"};
  const auto with_threads = [&](const char* threads) {
    Words words = options;
    words.emplace_back(threads);
    return words;
  };
  const auto whole = folder.path() / "whole", broken = folder.path() / "broken";
  ASSERT_EQ(test::run_program("shine_prepare", command(input, whole, with_threads("1"))).status, 0);
  const std::size_t shards = TokenStore(whole).index().shards.size();
  ASSERT_GT(shards, 2 * kills + 4U);

  Random random(5);
  std::size_t reached = 0;
  for (int i = 0; i < kills; ++i) {
    const std::size_t last = reached + random.below(3);
    test::BackgroundProgram writer("shine_prepare", command(input, broken, with_threads(i % 2 == 0 ? "1" : "2")));
    writer.wait_until([&] { return std::filesystem::exists(broken / shard_name(last)); });
    std::this_thread::sleep_for(std::chrono::microseconds(random.below(3000)));
    ASSERT_TRUE(writer.running()) << "it ended before kill " << i << ": " << writer.err();
    writer.signal(SIGKILL);
    EXPECT_EQ(writer.wait(), 128 + SIGKILL);
    reached = read_store_index(broken).shards.size();
  }
  const auto last = test::run_program("shine_prepare", command(input, broken, with_threads("2")));
  EXPECT_EQ(last.status, 0) << last.err;
  EXPECT_EQ(test::snapshot(broken), test::snapshot(whole));
}

}  // namespace
}  // namespace shine
