#include "data/store/question_dataset.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "data/qa/qa_dataset.h"
#include "data/store/shard_format.h"
#include "data/store/store_dataset.h"
#include "data/store/store_files.h"
#include "shine/common/error.h"
#include "shine/text/special_tokens.h"
#include "support/faults.h"

namespace shine {
namespace {

using test::StoreFiles;
using Items = std::vector<QaItem>;

/// Items in both layouts: some with conversations, some with questions of several answers.
Items made_up_items(std::size_t count, std::size_t longest) {
  const std::vector<std::string> texts = test::made_up_texts(count * 9, longest, 3);
  std::size_t next = 0;
  Random random(7);
  Items items(count);
  for (QaItem& item : items) {
    item.id = str("item-", next);
    item.context = texts[next++];
    const std::size_t turns = 1 + random.below(4);
    if (random.below(2) == 0) {
      for (std::size_t i = 0; i < turns; ++i) item.questions.push_back({texts[next + i], {texts[next], "other"}});
    } else {
      for (std::size_t thread = 0; thread < 1 + turns % 2; ++thread) {
        auto& conversation = item.conversations.emplace_back();
        for (std::size_t i = 0; i < turns; ++i) {
          conversation.push_back({"user", texts[next + i]});
          conversation.push_back({"assistant", texts[next + i + 1]});
        }
      }
    }
    next += 8;
  }
  return items;
}

std::string lines_of(const Items& items) {
  std::string lines;
  for (const QaItem& item : items) lines += qa_item_json(item) + "\n";
  return lines;
}

std::shared_ptr<const TokenStore> store_of(const StoreFiles& files, const Items& items, const Tokenizer& tokenizer,
                                           StoreOptions options = {}) {
  options.contents = StoreContents::questions;
  files.write("items.jsonl", lines_of(items));
  write_text_store(files.job({"items.jsonl"}, options), tokenizer);
  return std::make_shared<const TokenStore>(files.at("store"));
}

std::shared_ptr<const Tokenizer> byte_tokenizer() {
  return std::make_shared<test::ByteTokenizer>();
}

QaOptions options_of(QaForm form, OverLong over_long, std::int64_t context, std::int64_t conversation) {
  return {.form = form,
          .context_max_length = context,
          .conversation_max_length = conversation,
          .over_long = over_long,
          .reconstruction_share = 0.3,
          .prompts = {},
          .seed = 12};
}

void expect_equal(const QaReport& a, const QaReport& b) {
  EXPECT_EQ(a.items, b.items);
  EXPECT_EQ(a.samples, b.samples);
  EXPECT_EQ(a.contexts_over_long, b.contexts_over_long);
  EXPECT_EQ(a.conversations_over_long, b.conversations_over_long);
  EXPECT_EQ(a.dropped, b.dropped);
  EXPECT_EQ(a.split_off, b.split_off);
  EXPECT_EQ(a.tokens_cut, b.tokens_cut);
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.tokens_dropped, b.tokens_dropped);
}

void expect_equal(const QuestionDataset& a, const QaDataset& b) {
  expect_equal(a.report(), b.report());
  EXPECT_EQ(a.has_computed_order(), b.has_computed_order());
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a.tokens(i), b.tokens(i));
    for (const std::int64_t epoch : {0, 5}) {
      const Sample x = a.sample(epoch, i), y = b.sample(epoch, i);
      EXPECT_EQ(x.context_ids, y.context_ids);
      EXPECT_EQ(x.conversation_ids, y.conversation_ids);
      EXPECT_EQ(x.labels, y.labels);
      EXPECT_EQ(x.context_tokens_cut, y.context_tokens_cut);
      EXPECT_EQ(x.conversation_tokens_cut, y.conversation_tokens_cut);
    }
  }
}

TEST(QuestionDataset, GivesTheSamplesOfItemsInMemory) {
  const Items items = made_up_items(120, 20);
  const StoreFiles files;
  const auto store = store_of(files, items, *byte_tokenizer(), {.shard_bytes = 20000});
  EXPECT_GT(store->index().shards.size(), 2U);
  EXPECT_EQ(store->documents(), items.size());
  for (const QaForm form : {QaForm::multi_turn, QaForm::one_question}) {
    for (const OverLong over_long : {OverLong::drop, OverLong::cut, OverLong::split}) {
      const QaOptions options = options_of(form, over_long, 90, 300);
      const QaDataset memory(items, byte_tokenizer(), options);
      EXPECT_GT(memory.report().contexts_over_long, 0U);
      if (form == QaForm::multi_turn) {
        EXPECT_GT(memory.report().conversations_over_long, 0U);
      }
      expect_equal(QuestionDataset(store, byte_tokenizer(), options), memory);
      expect_equal(QuestionDataset(store, byte_tokenizer(), options), memory);  // from the samples that are kept
    }
  }
}

/// A real tokenizer, texts that its rules for spaces and special tokens touch, and another chat format.
TEST(QuestionDataset, GivesThemWithByteLevelBpe) {
  const std::shared_ptr<Tokenizer> tokenizer = load_tokenizer(test::source_dir() / "configs/tiny-text/backbone");
  add_task_tokens(*tokenizer);
  Items items = made_up_items(40, 30);
  items.push_back(
      {.id = "spaces",
       .context = " led by a space, <RECON> in it\n\n",
       .questions = {{"\nwhat 12345?  ", {" caf\u00e9 \u4f60\u597d \U0001f600"}}, {"</think>\n\nwhy", {"\nb"}}}});
  items.push_back({.id = "accent", .context = "cafe\u0301 decomposed", .questions = {{"q", {"a"}}}});
  const StoreFiles files;
  const auto store = store_of(files, items, *tokenizer);
  EXPECT_EQ(store->index().statistics.changed, 1U);
  items.back().context = "caf\u00e9 decomposed";  // as its ids give it back
  const QaOptions options = options_of(QaForm::multi_turn, OverLong::cut, 60, 120);
  expect_equal(QuestionDataset(store, tokenizer, options), QaDataset(items, tokenizer, options));
}

TEST(QuestionDataset, KeepsTheSamplesOfAChatFormatApart) {
  const auto tokenizer = test::byte_tokenizer_with(test::llama3_markers());
  const Items items = made_up_items(30, 10);
  const StoreFiles files;
  const auto store = store_of(files, items, *tokenizer);
  QaOptions options = options_of(QaForm::multi_turn, OverLong::drop, 200, 400);
  expect_equal(QuestionDataset(store, tokenizer, options), QaDataset(items, tokenizer, options));
  options.chat_format = llama3_format(/*dated=*/true);
  expect_equal(QuestionDataset(store, tokenizer, options), QaDataset(items, tokenizer, options));
}

TEST(QuestionDataset, LeavesOutWhatIsHeldOut) {
  Items items = made_up_items(50, 10);
  items[3].context = " " + items[8].context + "\n";
  const StoreFiles files;
  const auto store = store_of(files, items, *byte_tokenizer());
  const Items held = hold_out_items(*store, *byte_tokenizer(), 0.1, 4);
  ASSERT_EQ(held.size(), 5U);
  EXPECT_EQ(held[0].context, items[held_out_documents(*store, 0.1, 4)[0]].context);

  const QaOptions options = options_of(QaForm::one_question, OverLong::cut, 200, 400);
  const QuestionDataset dataset(store, byte_tokenizer(), options, {context_hash(items[8].context)});
  EXPECT_EQ(dataset.left_out(), 2U);
  EXPECT_NE(dataset.fingerprint(), QuestionDataset(store, byte_tokenizer(), options).fingerprint());
  Items rest = items;
  std::erase_if(rest, [&](const QaItem& item) { return item.id == items[3].id || item.id == items[8].id; });
  expect_equal(dataset, QaDataset(rest, byte_tokenizer(), options));

  std::vector<std::uint64_t> all;
  for (const QaItem& item : items) all.push_back(context_hash(item.context));
  test::expect_fault<ConfigError>("no question is left of 0 items",
                                  [&] { QuestionDataset(store, byte_tokenizer(), options, all); });
}

/// What was held out is validated as conversations: the same turns.
TEST(QuestionDataset, HoldsOutWholeItems) {
  const Items items = made_up_items(20, 10);
  const StoreFiles files;
  const auto store = store_of(files, items, *byte_tokenizer());
  for (const std::size_t document : held_out_documents(*store, 0.3, 1)) {
    const Items held = hold_out_items(*store, *byte_tokenizer(), 0.3, 1);
    const auto same = std::ranges::find(held, str("store:", document), &QaItem::id);
    ASSERT_NE(same, held.end());
    EXPECT_EQ(threads_of(*same), threads_of(items[document]));
  }
}

TEST(QuestionDataset, RefusesWhatIsNotForIt) {
  const QaOptions options = options_of(QaForm::multi_turn, OverLong::cut, 200, 400);
  const StoreFiles files, others;
  const auto texts = files.store({"a text"});
  test::expect_fault<ConfigError>("holds texts", [&] { QuestionDataset(texts, byte_tokenizer(), options); });
  const auto store = store_of(others, made_up_items(3, 5), *byte_tokenizer());
  test::expect_fault<ConfigError>("holds questions", [&] { store->require_contents(StoreContents::texts); });
  QaOptions in_prompt = options;
  in_prompt.place = ContextPlace::prompt;
  test::expect_fault<ConfigError>("not for those in the prompt",
                                  [&] { QuestionDataset(store, byte_tokenizer(), in_prompt); });
  const auto larger = test::byte_tokenizer_with({"<more>"});
  test::expect_fault<ConfigError>("another tokenizer", [&] { QuestionDataset(store, larger, options); });
}

class DamagedSamples : public ::testing::Test {
 protected:
  DamagedSamples()
      : store_(store_of(files_, made_up_items(20, 10), *byte_tokenizer())),
        options_(options_of(QaForm::multi_turn, OverLong::cut, 200, 400)) {
    open();
    path_ = sample_path(*store_, sample_key(*store_, QaSampleForm(byte_tokenizer(), options_), {}));
    bytes_ = test::read_bytes(path_);
  }
  QuestionDataset open() const { return QuestionDataset(store_, byte_tokenizer(), options_); }
  void edit(std::size_t at, std::uint32_t value) const {
    std::string bytes = bytes_;
    std::memcpy(bytes.data() + at, &value, sizeof value);
    test::write_bytes(path_, bytes);
  }

  StoreFiles files_;
  std::shared_ptr<const TokenStore> store_;
  QaOptions options_;
  std::filesystem::path path_;
  std::string bytes_;
};

TEST_F(DamagedSamples, AreRefusedWhenOpened) {
  edit(bytes_.size() - 50, 99);
  test::expect_fault<FormatError>("footer's checksum", [&] { open(); });
  test::write_bytes(path_, bytes_.substr(20));
  test::expect_fault<FormatError>("does not fit its counts", [&] { open(); });
  test::write_bytes(path_, bytes_.substr(0, 100));
  test::expect_fault<FormatError>("shorter than its footer", [&] { open(); });
  edit(bytes_.size() - sizeof(SampleFooter), 7);
  test::expect_fault<FormatError>("no samples that this program knows", [&] { open(); });
  options_.context_max_length = 150;
  open();
  std::filesystem::copy_file(sample_path(*store_, sample_key(*store_, QaSampleForm(byte_tokenizer(), options_), {})),
                             path_, std::filesystem::copy_options::overwrite_existing);
  options_.context_max_length = 200;
  test::expect_fault<FormatError>("for other lengths", [&] { open(); });
}

TEST_F(DamagedSamples, AreRefusedWhereTheyLeadOutside) {
  const auto fault_of_first = [&](std::size_t at, std::uint32_t value, const char* expected) {
    edit(at, value);
    const QuestionDataset dataset = open();
    test::expect_fault<FormatError>(expected, [&] { dataset.sample(0, 0); });
  };
  fault_of_first(0, 20, "sample 0 leads outside");
  fault_of_first(4, 9, "names turns that are not there");
  fault_of_first(8, 1000, "sample 0 leads outside");
  fault_of_first(12, 1000, "names turns that are not there");
  test::expect_fault<ConfigError>("there is no sample", [&] { open().sample(0, 100000); });
}

}  // namespace
}  // namespace shine
