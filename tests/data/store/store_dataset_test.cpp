#include "data/store/store_dataset.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "data/pretrain/pretrain_dataset.h"
#include "data/sampling/loader.h"
#include "data/store/group_writer.h"
#include "data/store/store_files.h"
#include "shine/common/error.h"
#include "shine/text/special_tokens.h"
#include "support/faults.h"

namespace shine {
namespace {

using test::StoreFiles;
using Texts = std::vector<std::string>;

PretrainOptions options_of(std::int64_t context, std::int64_t conversation) {
  PretrainOptions options;
  options.context_max_length = context;
  options.conversation_max_length = conversation;
  options.open_groups = 10;
  options.seed = 11;
  return options;
}

std::shared_ptr<const Tokenizer> byte_tokenizer() {
  return std::make_shared<test::ByteTokenizer>();
}

void expect_equal(const Sample& a, const Sample& b) {
  EXPECT_EQ(a.context_ids, b.context_ids);
  EXPECT_EQ(a.conversation_ids, b.conversation_ids);
  EXPECT_EQ(a.labels, b.labels);
  EXPECT_EQ(a.context_tokens_cut, b.context_tokens_cut);
  EXPECT_EQ(a.conversation_tokens_cut, b.conversation_tokens_cut);
}

void expect_equal(const Dataset& a, const Dataset& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a.tokens(i), b.tokens(i));
    for (const std::int64_t epoch : {0, 3}) expect_equal(a.sample(epoch, i), b.sample(epoch, i));
  }
}

void expect_equal(const PretrainReport& a, const PretrainReport& b) {
  EXPECT_EQ(a.texts, b.texts);
  EXPECT_EQ(a.groups, b.groups);
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.over_long, b.over_long);
  EXPECT_EQ(a.tokens_cut, b.tokens_cut);
  EXPECT_EQ(a.contexts_over_long, b.contexts_over_long);
  EXPECT_EQ(a.context_tokens_cut, b.context_tokens_cut);
  EXPECT_EQ(a.fill, b.fill);
}

TEST(StoreDataset, GivesTheSamplesOfTextsInMemory) {
  const StoreFiles files;
  const Texts texts = test::made_up_texts(300, 60);
  const auto store = files.store(texts, {.shard_bytes = 5000});
  const PretrainOptions options = options_of(240, 250);
  const PretrainDataset memory(texts, byte_tokenizer(), options);
  const StoreDataset dataset(store, byte_tokenizer(), options);
  expect_equal(dataset, memory);
  expect_equal(dataset.report(), memory.report());
  EXPECT_GT(memory.report().over_long, 0U);
  EXPECT_GT(memory.report().contexts_over_long, 0U);
  expect_equal(StoreDataset(store, byte_tokenizer(), options), memory);  // from the groups that are kept
}

/// A real tokenizer, with its rules for spaces, digits and words.
TEST(StoreDataset, GivesThemWithByteLevelBpe) {
  const std::shared_ptr<Tokenizer> tokenizer = load_tokenizer(test::source_dir() / "configs/tiny-text/backbone");
  add_task_tokens(*tokenizer);
  Texts texts = test::made_up_texts(60, 80);
  texts.insert(texts.end(),
               {" leading space", "\nleading line\n\n", "a  b\tc\u00a0d  ", "12345 6.7e8 don't", "<RECON> in it",
                "caf\u00e9 \u4f60\u597d \U0001f600", "cafe\u0301 decomposed", "</think>\n\nanswer"});
  const StoreFiles files;
  files.write("texts.jsonl", test::json_lines(texts));
  write_text_store(files.job({"texts.jsonl"}), *tokenizer);
  const auto store = std::make_shared<const TokenStore>(files.at("store"));
  EXPECT_EQ(store->index().statistics.changed, 1U);  // the decomposed accent, which is composed
  const PretrainOptions options = options_of(300, 320);
  expect_equal(StoreDataset(store, tokenizer, options), PretrainDataset(texts, tokenizer, options));
}

TEST(StoreDataset, GivesThemInAnotherChatFormat) {
  const auto tokenizer = test::byte_tokenizer_with(test::llama3_markers());
  const StoreFiles files;
  const Texts texts = test::made_up_texts(100, 30);
  files.write("texts.jsonl", test::json_lines(texts));
  write_text_store(files.job({"texts.jsonl"}), *tokenizer);
  const auto store = std::make_shared<const TokenStore>(files.at("store"));
  PretrainOptions options = options_of(500, 700);
  options.chat_format = llama3_format(/*dated=*/true);  // a conversation begins with some 60 tokens, once
  const PretrainDataset memory(texts, tokenizer, options);
  EXPECT_LT(memory.size(), texts.size());
  expect_equal(StoreDataset(store, tokenizer, options), memory);
  const PretrainForm dated(tokenizer, options);
  options.chat_format = llama3_format(/*dated=*/false);
  expect_equal(StoreDataset(store, tokenizer, options), PretrainDataset(texts, tokenizer, options));
  const PretrainForm plain(tokenizer, options);
  EXPECT_NE(group_key(*store, dated, {}), group_key(*store, plain, {}));
  options.chat_format.trims_answers = !options.chat_format.trims_answers;
  EXPECT_NE(group_key(*store, PretrainForm(tokenizer, options), {}), group_key(*store, plain, {}));
}

TEST(StoreDataset, GivesSplitTextsWhereTheStoreIsSplit) {
  const StoreFiles files;
  const Texts texts = test::made_up_texts(100, 60);
  PretrainOptions options = options_of(120, 160);
  options.over_long = OverLong::split;
  const PretrainDataset memory(texts, byte_tokenizer(), options);
  const std::int64_t room = std::min<std::int64_t>(120, 160 - memory.turn_overhead());
  const auto whole = files.store(texts);
  test::expect_fault<ConfigError>(str("--split ", room), [&] { StoreDataset(whole, byte_tokenizer(), options); });
  const StoreFiles others;
  expect_equal(StoreDataset(others.store(texts, {.split = room}), byte_tokenizer(), options), memory);
}

TEST(StoreDataset, DropsWhatIsHeldOut) {
  const StoreFiles files;
  Texts texts = test::made_up_texts(200, 20);
  texts.push_back(texts[5]);
  const auto store = files.store(texts);
  const HeldOut held = hold_out(*store, *byte_tokenizer(), 0.1, 4);
  EXPECT_EQ(held.texts.size(), 20U);
  EXPECT_EQ(hold_out(*store, *byte_tokenizer(), 0.1, 4).texts, held.texts);
  EXPECT_NE(hold_out(*store, *byte_tokenizer(), 0.1, 5).texts, held.texts);
  EXPECT_EQ(hold_out(*store, *byte_tokenizer(), 1e-9, 5).texts.size(), 1U);
  EXPECT_TRUE(hold_out(*store, *byte_tokenizer(), 0, 5).texts.empty());

  const PretrainOptions options = options_of(240, 250);
  Texts rest = texts;
  std::erase_if(rest, [&](const std::string& text) { return std::ranges::count(held.texts, text) > 0; });
  const StoreDataset dataset(store, byte_tokenizer(), options, held.hashes);
  EXPECT_EQ(dataset.dropped(), texts.size() - rest.size());
  const PretrainDataset memory(rest, byte_tokenizer(), options);
  ASSERT_EQ(dataset.size(), memory.size());
  for (std::size_t i = 0; i < dataset.size(); ++i) expect_equal(dataset.sample(0, i), memory.sample(0, i));
  EXPECT_NE(dataset.fingerprint(), StoreDataset(store, byte_tokenizer(), options).fingerprint());

  std::vector<std::uint64_t> all;
  for (const std::string& text : texts) all.push_back(text_hash(text));
  test::expect_fault<ConfigError>("no document to train on",
                                  [&] { StoreDataset(store, byte_tokenizer(), options, all); });
}

/// What the loaders of all ranks give in a step, by position.
std::vector<std::vector<Sample>> step_of(std::vector<std::unique_ptr<Loader>>& ranks, SamplerState& state) {
  std::vector<std::vector<Sample>> batches;
  for (auto& rank : ranks) {
    StepBatches step = rank->next();
    batches.resize(step.planned);
    for (std::size_t i = 0; i < step.positions.size(); ++i) batches[step.positions[i]] = step.micro_batches[i];
    state = step.resume;
  }
  return batches;
}

std::vector<std::unique_ptr<Loader>> loaders(const std::shared_ptr<const Dataset>& dataset, int ranks,
                                             const std::optional<SamplerState>& from) {
  std::vector<std::unique_ptr<Loader>> all;
  for (int rank = 0; rank < ranks; ++rank) {
    Sampler sampler(dataset->size(), {.batch_size = 2, .accumulation = 3, .seed = 9, .computed_order = true});
    if (from) sampler.restore(*from);
    all.push_back(std::make_unique<Loader>(dataset, std::move(sampler), LoaderOptions{.rank = rank, .ranks = ranks}));
  }
  return all;
}

/// One run without a stop against runs that stop after every few steps and go on with another number of ranks.
TEST(StoreDataset, GoesOnInTheMiddleOfAnEpochOnAnyNumberOfRanks) {
  const StoreFiles files;
  files.store(test::made_up_texts(150, 30), {.shard_bytes = 4000});
  const auto open = [&] {
    return std::make_shared<const StoreDataset>(std::make_shared<const TokenStore>(files.at("store")), byte_tokenizer(),
                                                options_of(200, 220));
  };
  const std::shared_ptr<const Dataset> dataset = open();
  ASSERT_TRUE(dataset->has_computed_order());
  auto whole = loaders(dataset, 1, std::nullopt);
  std::optional<SamplerState> place;
  SamplerState ignored;
  for (const int ranks : {1, 2, 3, 2, 1, 3}) {
    auto part = loaders(open(), ranks, place);
    for (int step = 0; step < 4; ++step) {
      const auto expected = step_of(whole, ignored);
      SamplerState reached;
      const auto found = step_of(part, reached);
      ASSERT_EQ(found.size(), expected.size());
      for (std::size_t batch = 0; batch < found.size(); ++batch) {
        ASSERT_EQ(found[batch].size(), expected[batch].size());
        for (std::size_t i = 0; i < found[batch].size(); ++i) expect_equal(found[batch][i], expected[batch][i]);
      }
      place = reached;
    }
  }
  EXPECT_GE(place->epoch, 1);
}

class DamagedGroups : public ::testing::Test {
 protected:
  DamagedGroups() : store_(files_.store(test::made_up_texts(40, 20))), form_(byte_tokenizer(), options_of(200, 220)) {
    key_ = group_key(*store_, form_, {});
    groups_ = open_groups(*store_, form_, {}).size();
    groups_path_ = group_path(*store_, key_, ".groups");
    members_path_ = group_path(*store_, key_, ".members");
  }
  GroupIndex open() const { return open_groups(*store_, form_, {}); }
  void edit(const std::filesystem::path& path, std::size_t at, std::uint32_t value) const {
    std::string bytes = test::read_bytes(path);
    std::memcpy(bytes.data() + at, &value, sizeof value);
    test::write_bytes(path, bytes);
  }

  StoreFiles files_;
  std::shared_ptr<const TokenStore> store_;
  PretrainForm form_;
  std::uint64_t key_ = 0;
  std::size_t groups_ = 0;
  std::filesystem::path groups_path_, members_path_;
};

TEST_F(DamagedGroups, AreRefusedWhenOpened) {
  const std::string groups = test::read_bytes(groups_path_), members = test::read_bytes(members_path_);
  edit(groups_path_, groups.size() - 50, 99);
  test::expect_fault<FormatError>("footer's checksum", [&] { open(); });
  test::write_bytes(groups_path_, groups.substr(8));
  test::expect_fault<FormatError>("does not fit its counts", [&] { open(); });
  test::write_bytes(groups_path_, groups.substr(0, 100));
  test::expect_fault<FormatError>("shorter than its footer", [&] { open(); });
  test::write_bytes(groups_path_, groups);
  test::write_bytes(members_path_, members.substr(4));
  test::expect_fault<FormatError>("does not fit its counts", [&] { open(); });
}

TEST_F(DamagedGroups, AreRefusedWhereTheyLeadOutside) {
  edit(groups_path_, 8, 1000);
  edit(members_path_, test::read_bytes(members_path_).size() - 4, 40);
  const GroupIndex groups = open();
  test::expect_fault<FormatError>("group 0 leads outside", [&] { groups.documents(0); });
  test::expect_fault<FormatError>("names document 40", [&] { groups.documents(groups_ - 1); });
  test::expect_fault<ConfigError>("no group", [&] { groups.documents(groups_); });
}

TEST_F(DamagedGroups, OfOtherLengthsAreOtherFiles) {
  const PretrainForm other(byte_tokenizer(), options_of(200, 221));
  EXPECT_NE(group_key(*store_, other, {}), key_);
  EXPECT_NE(group_key(*store_, form_, {1}), key_);
  EXPECT_EQ(group_key(*store_, form_, {1, 2}), group_key(*store_, form_, {2, 1}));
  std::filesystem::copy_file(groups_path_, group_path(*store_, group_key(*store_, other, {}), ".groups"));
  std::filesystem::copy_file(members_path_, group_path(*store_, group_key(*store_, other, {}), ".members"));
  test::expect_fault<FormatError>("other lengths", [&] { open_groups(*store_, other, {}); });
}

}  // namespace
}  // namespace shine
