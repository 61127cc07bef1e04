#include "data/store/store_writer.h"

#include <gtest/gtest.h>

#include "data/pretrain/documents.h"
#include "data/pretrain/text_pieces.h"
#include "data/qa/qa_items.h"
#include "data/store/store_files.h"
#include "integration/run_program.h"
#include "shine/common/error.h"
#include "support/faults.h"

namespace shine {
namespace {

using test::StoreFiles;
using Texts = std::vector<std::string>;

Texts texts_of(const TokenStore& store) {
  Texts texts;
  for (std::size_t i = 0; i < store.documents(); ++i) {
    texts.push_back(test::ByteTokenizer().decode(store.ids(i)));
    EXPECT_EQ(store.hash(i), text_hash(texts.back()));
    EXPECT_EQ(store.length(i), store.ids(i).size());
  }
  return texts;
}

/// Stops a writer in the middle.
struct Interrupted : std::exception {};

TEST(StoreWriter, HoldsTheDocumentsThatTrainingReads) {
  const StoreFiles files;
  files.write("a.txt", "One.\r\nStill one.\n\n\nTwo \xff.\n\n  \n\nThree");
  files.write("b.jsonl", test::json_lines({"Four\n\nis one document", "  ", "Five"}));
  const StoreIndex index = write_text_store(files.job({"a.txt", "b.jsonl"}), test::ByteTokenizer());
  const Documents expected = read_documents({files.at("a.txt"), files.at("b.jsonl")}, {});
  EXPECT_EQ(texts_of(TokenStore(files.at("store"))), expected.texts);
  EXPECT_EQ(index.statistics.documents, expected.texts.size());
  EXPECT_EQ(index.statistics.empty, expected.empty);
  EXPECT_EQ(index.statistics.repaired, expected.repaired);
  EXPECT_EQ(index.statistics.read, expected.texts.size() + expected.empty);
  EXPECT_EQ(index.statistics.changed, 0U);
}

TEST(StoreWriter, CountsTokensAndLengths) {
  const StoreFiles files;
  const auto store = files.store({"a", "bcd", "efgh", "ijk"});
  const StoreStatistics& statistics = store->index().statistics;
  EXPECT_EQ(statistics.tokens, 11U);
  EXPECT_EQ(statistics.longest, 4U);
  EXPECT_EQ(statistics.lengths[1], 1U);  // 1 token
  EXPECT_EQ(statistics.lengths[2], 2U);  // 2 or 3
  EXPECT_EQ(statistics.lengths[3], 1U);  // 4 to 7
}

TEST(StoreWriter, ReadsAnotherField) {
  const StoreFiles files;
  files.write("a.jsonl", R"({"body": "right", "text": "wrong"})");
  write_text_store(files.job({"a.jsonl"}, {.field = "body"}), test::ByteTokenizer());
  EXPECT_EQ(texts_of(TokenStore(files.at("store"))), Texts{"right"});
}

TEST(StoreWriter, DropsTextsThatCameBefore) {
  const StoreFiles files;
  files.write("a.jsonl", test::json_lines({"x", "y", "x", " ", " "}));
  files.write("b.jsonl", test::json_lines({"y", "z", "x"}));
  const StoreIndex index = write_text_store(files.job({"a.jsonl", "b.jsonl"}, {.unique = true}), test::ByteTokenizer());
  EXPECT_EQ(texts_of(TokenStore(files.at("store"))), (Texts{"x", "y", "z"}));
  EXPECT_EQ(index.statistics.duplicate, 3U);
  EXPECT_EQ(index.statistics.empty, 2U);
}

TEST(StoreWriter, BoundsTheTableOfTextsSeen) {
  const StoreFiles files;
  files.write("a.jsonl", test::json_lines(test::made_up_texts(2000, 20)));
  TextStoreJob job = files.job({"a.jsonl"}, {.unique = true});
  job.unique_bytes = 16 << 10;
  test::expect_fault<ConfigError>("--unique-memory", [&] { write_text_store(job, test::ByteTokenizer()); });
}

TEST(StoreWriter, SplitsLongDocuments) {
  const StoreFiles files;
  const Texts texts = test::made_up_texts(50, 60);
  const auto store = files.store(texts, {.split = 40});
  Texts expected;
  for (const std::string& text : texts) {
    for (std::string& piece : split_text(text, 40, test::ByteTokenizer(), SpecialTokens::parse)) {
      expected.push_back(std::move(piece));
    }
  }
  EXPECT_EQ(texts_of(*store), expected);
  EXPECT_EQ(store->index().statistics.split_off, expected.size() - texts.size());
  EXPECT_LE(store->index().statistics.longest, 40U);
}

/// The same bytes whatever the number of threads, and in however many attempts.
TEST(StoreWriter, WritesTheSameBytesAfterInterruptions) {
  for (const bool unique : {false, true}) {
    const StoreFiles files;
    Texts texts = test::made_up_texts(1500, 900);
    for (std::size_t i = 0; i < texts.size(); i += 7) texts[i] = texts[i / 2];
    files.write("a.jsonl", test::json_lines({texts.begin(), texts.begin() + 600}));
    files.write("b.jsonl", test::json_lines({texts.begin() + 600, texts.end()}));
    TextStoreJob job = files.job({"a.jsonl", "b.jsonl"}, {.unique = unique, .shard_bytes = 1 << 19});
    job.threads = 1;
    write_text_store(job, test::ByteTokenizer());
    const auto expected = test::snapshot(job.output);
    ASSERT_GT(expected.size(), 15U);  // shards

    job.output = files.at("again");
    job.threads = 2;
    int attempts = 0;
    for (bool done = false; !done && attempts < 100; ++attempts) {
      try {
        write_text_store(job, test::ByteTokenizer(), [&](const StoreProgress&) {
          if (attempts % 3 != 2) throw Interrupted();
        });
        done = true;
      } catch (const Interrupted&) {
        test::expect_fault<FormatError>("not complete", [&] { TokenStore(job.output); });
      }
    }
    EXPECT_EQ(attempts, 3);
    EXPECT_EQ(test::snapshot(job.output), expected);
  }
}

TEST(StoreWriter, WritesQuestionsTheSameWay) {
  const StoreFiles files;
  const Texts texts = test::made_up_texts(2000, 400);
  std::string lines;
  for (std::size_t i = 0; i + 4 < texts.size(); i += 4) {
    const QaItem item{.id = str(i),
                      .context = i % 3 == 0 ? texts[0] : texts[i],
                      .questions = {{texts[i % 3 == 0 ? 1 : i + 1], {texts[2]}}}};
    lines += qa_item_json(item) + "\n";
  }
  files.write("a.jsonl", lines);
  TextStoreJob job = files.job({"a.jsonl"}, {.contents = StoreContents::questions, .shard_bytes = 1 << 18});
  job.options.unique = true;
  job.threads = 1;
  const StoreIndex index = write_text_store(job, test::ByteTokenizer());
  EXPECT_EQ(index.statistics.duplicate, 166U);  // every third but the first
  EXPECT_EQ(index.statistics.documents, 499U - 166U);
  const auto expected = test::snapshot(job.output);
  ASSERT_GT(expected.size(), 6U);  // shards

  job.output = files.at("again");
  job.threads = 2;
  EXPECT_THROW(write_text_store(job, test::ByteTokenizer(), [](const StoreProgress&) { throw Interrupted(); }),
               Interrupted);
  write_text_store(job, test::ByteTokenizer());
  EXPECT_EQ(test::snapshot(job.output), expected);

  job.options.contents = StoreContents::texts;
  test::expect_fault<ConfigError>("other options", [&] { write_text_store(job, test::ByteTokenizer()); });
}

TEST(StoreWriter, RefusesWhatIsNoQuestion) {
  const StoreFiles files;
  const StoreOptions options{.contents = StoreContents::questions};
  const auto store = [&](const std::string& name, const StoreOptions& wanted) {
    TextStoreJob job = files.job({name}, wanted);
    job.output = files.at("of " + name);
    write_text_store(job, test::ByteTokenizer());
  };
  files.write("a.txt", "a text");
  test::expect_fault<ConfigError>("no file of questions", [&] { store("a.txt", options); });
  files.write("b.jsonl", "\n{\"context\": \"c\", \"questions\": []}\n");
  test::expect_fault<FormatError>("b.jsonl:2: questions: there is no question", [&] { store("b.jsonl", options); });
  StoreOptions split = options;
  split.split = 10;
  test::expect_fault<ConfigError>("questions are not split", [&] { store("b.jsonl", split); });
}

TEST(StoreWriter, ChecksACompleteStore) {
  const StoreFiles files;
  files.store({"some", "texts"});
  const auto before = test::snapshot(files.at("store"));
  const TextStoreJob job = files.job({"texts.jsonl"});
  write_text_store(job, test::ByteTokenizer());
  EXPECT_EQ(test::snapshot(files.at("store")), before);

  std::string shard = before.at("shard-00000.tokens");
  shard.back() = 0x00;
  shard[shard.size() - 4] ^= 1;
  files.write("store/shard-00000.tokens", shard);
  test::expect_fault<FormatError>("checksum differs", [&] { write_text_store(job, test::ByteTokenizer()); });
}

TEST(StoreWriter, RefusesAStoreOfOtherThings) {
  const StoreFiles files;
  files.store({"some", "texts"});
  const auto refuses = [&](std::string_view part, const TextStoreJob& job, const Tokenizer& tokenizer) {
    test::expect_fault<ConfigError>(part, [&] { write_text_store(job, tokenizer); });
  };
  test::ByteTokenizer other;
  other.add_tokens(std::vector<AddedToken>{{.content = "<more>"}});
  refuses("another tokenizer", files.job({"texts.jsonl"}), other);
  refuses("other options", files.job({"texts.jsonl"}, {.split = 9}), test::ByteTokenizer());
  files.write("other.jsonl", test::json_lines({"x"}));
  refuses("other files", files.job({"other.jsonl"}), test::ByteTokenizer());
  files.write("texts.jsonl", test::json_lines({"x"}));
  refuses("other files", files.job({"texts.jsonl"}), test::ByteTokenizer());

  TextStoreJob job = files.job({"other.jsonl"});
  files.write("taken/note.txt", "mine");
  job.output = files.at("taken");
  refuses("no token store", job, test::ByteTokenizer());
  EXPECT_EQ(test::snapshot(job.output).at("note.txt"), "mine");
  refuses("no text file", files.job({}), test::ByteTokenizer());
}

TEST(StoreWriter, StopsAtWhatIsNoText) {
  const StoreFiles files;
  files.write("a.jsonl", "{\"text\": \"fine\"}\n{\"text\": 7}\n");
  test::expect_fault<FormatError>("a.jsonl:2",
                                  [&] { write_text_store(files.job({"a.jsonl"}), test::ByteTokenizer()); });
  test::expect_fault<FormatError>("not complete", [&] { TokenStore(files.at("store")); });
}

}  // namespace
}  // namespace shine
