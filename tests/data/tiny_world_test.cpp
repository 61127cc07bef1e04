#include "data/tiny_world/tiny_world.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <span>
#include <sstream>

#include "io/files/text_file.h"
#include "shine/common/error.h"
#include "support/paths.h"

namespace shine {
namespace {

TinyWorldOptions small_world() {
  TinyWorldOptions options;
  options.notes = 1500;
  options.validation = 200;
  options.sft_conversations = 3;
  return options;
}

/// The words of a text without the marks at their ends.
std::vector<std::string> words_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) {
    while (!word.empty() && (word.back() == '.' || word.back() == '?')) word.pop_back();
    words.push_back(word);
  }
  return words;
}

std::string name_of(const QaItem& item) {
  const std::vector<std::string> words = words_of(item.context);
  return words[0] + ' ' + words[1];
}

/// "job" of "What is the job of Anna Berg?"
std::string kind_of(const std::string& question) {
  const std::vector<std::string> words = words_of(question);
  return words[words.size() - 4];
}

TEST(TinyWorld, NamesAndContextsAreDisjointWhileTheirWordsAreShared) {
  const TinyWorld world = make_tiny_world(small_world());
  ASSERT_EQ(world.train.size(), 1500U);
  ASSERT_EQ(world.validation.size(), 200U);
  EXPECT_NO_THROW(check_contexts_disjoint(world.train, world.validation));
  std::set<std::string> train_names, train_words, contexts;
  for (const QaItem& item : world.train) {
    train_names.insert(name_of(item));
    for (const std::string& word : words_of(item.context)) train_words.insert(word);
    EXPECT_TRUE(contexts.insert(item.context).second);
  }
  for (const QaItem& item : world.validation) {
    EXPECT_FALSE(train_names.contains(name_of(item))) << item.context;
    for (const std::string& word : words_of(item.context)) EXPECT_TRUE(train_words.contains(word)) << word;
    EXPECT_TRUE(contexts.insert(item.context).second);
  }
}

TEST(TinyWorld, EveryFactIsAskedOnceAndItsAnswerIsAWordOfTheNote) {
  const TinyWorld world = make_tiny_world(small_world());
  std::map<std::size_t, int> counts;
  for (const auto* items : {&world.train, &world.validation}) {
    for (const QaItem& item : *items) {
      const std::vector<std::string> words = words_of(item.context);
      const auto sentences = std::count(item.context.begin(), item.context.end(), '.');
      EXPECT_EQ(item.questions.size(), static_cast<std::size_t>(sentences));
      std::set<std::string> kinds;
      for (const QaQuestion& question : item.questions) {
        ASSERT_EQ(question.answers.size(), 1U);
        EXPECT_EQ(std::count(words.begin(), words.end(), question.answers.front()), 1) << item.context;
        EXPECT_NE(question.question.find(name_of(item)), std::string::npos);
        EXPECT_TRUE(kinds.insert(kind_of(question.question)).second);
      }
      ++counts[item.questions.size()];
    }
  }
  EXPECT_EQ(counts.size(), 8U);
  for (const auto& [facts, notes] : counts) EXPECT_GT(notes, 150) << facts;
}

TEST(TinyWorld, ConversationsForSftAskEveryFactOfTheirNote) {
  const TinyWorld world = make_tiny_world(small_world());
  EXPECT_TRUE(world.train.front().sft_conversations.empty());
  ASSERT_GT(world.validation.size(), 20U);
  const auto with_sft = static_cast<std::ptrdiff_t>(TinyWorldOptions{}.sft_notes);
  for (auto item = world.validation.begin() + with_sft; item != world.validation.end(); ++item) {
    EXPECT_TRUE(item->sft_conversations.empty()) << item->id;
  }
  for (const QaItem& item : std::span(world.validation).first(static_cast<std::size_t>(with_sft))) {
    std::map<std::string, std::string> answers;
    for (const QaQuestion& question : item.questions) answers[kind_of(question.question)] = question.answers.front();
    ASSERT_EQ(item.sft_conversations.size(), 3U);
    for (const auto& conversation : item.sft_conversations) {
      ASSERT_EQ(conversation.size(), 2 * item.questions.size());
      std::map<std::string, std::string> told;
      for (std::size_t i = 0; i < conversation.size(); i += 2)
        told[kind_of(conversation[i].content)] = conversation[i + 1].content;
      EXPECT_EQ(told, answers);
    }
  }
}

/// Chi-square of the answers of each kind against a uniform draw of sixteen: 15 degrees of freedom, 44.3 at 1e-4.
TEST(TinyWorld, ValuesAreUniformSoThatAGuessIsRightOnceInSixteen) {
  const TinyWorld world = make_tiny_world(small_world());
  std::map<std::string, std::map<std::string, int>> counts;
  std::set<std::string> values;
  for (const QaItem& item : world.train) {
    for (const QaQuestion& question : item.questions) {
      ++counts[kind_of(question.question)][question.answers.front()];
      values.insert(question.answers.front());
    }
  }
  ASSERT_EQ(counts.size(), 8U);
  EXPECT_EQ(values.size(), 128U) << "no value is of two kinds";
  for (const auto& [kind, drawn] : counts) {
    double total = 0, chi_square = 0;
    for (const auto& [value, count] : drawn) total += count;
    for (const auto& [value, count] : drawn) chi_square += (count - total / 16) * (count - total / 16) / (total / 16);
    EXPECT_EQ(drawn.size(), 16U) << kind;
    EXPECT_LT(chi_square, 44.3) << kind;
  }
}

TEST(TinyWorld, TheSameOptionsGiveTheSameWorld) {
  TinyWorldOptions options = small_world();
  const TinyWorld first = make_tiny_world(options), again = make_tiny_world(options);
  for (std::size_t i = 0; i < first.train.size(); ++i)
    EXPECT_EQ(qa_item_json(first.train[i]), qa_item_json(again.train[i]));
  options.seed = 2;
  EXPECT_NE(make_tiny_world(options).train[0].context, first.train[0].context);
  options.notes = 20;
  const TinyWorld shorter = make_tiny_world(options);
  options.notes = 40;
  EXPECT_EQ(make_tiny_world(options).train[19].context, shorter.train[19].context) << "more notes begin with these";
}

TEST(TinyWorld, ItsWordsAreAllThatItIsWrittenIn) {
  const std::vector<std::string> listed = tiny_world_words();
  const std::set<std::string> words(listed.begin(), listed.end());
  EXPECT_EQ(words.size(), listed.size());
  for (const QaItem& item : make_tiny_world(small_world()).train) {
    for (const std::string& word : words_of(item.context)) EXPECT_TRUE(words.contains(word)) << word;
    for (const QaQuestion& question : item.questions) {
      for (const std::string& word : words_of(question.question)) EXPECT_TRUE(words.contains(word)) << word;
    }
  }
}

TEST(TinyWorld, IsWrittenInTheFormThatIsRead) {
  const test::TemporaryFolder folder;
  TinyWorldOptions options = small_world();
  options.notes = 30;
  options.validation = 10;
  const TinyWorld world = make_tiny_world(options);
  write_tiny_world(world, folder.path() / "world");
  const std::vector<QaItem> train = read_qa_items(folder.path() / "world" / "train.jsonl");
  const std::vector<QaItem> validation = read_qa_items(folder.path() / "world" / "validation.jsonl");
  ASSERT_EQ(train.size(), 30U);
  ASSERT_EQ(validation.size(), 10U);
  EXPECT_EQ(qa_item_json(train[7]), qa_item_json(world.train[7]));
  EXPECT_EQ(qa_item_json(validation[7]), qa_item_json(world.validation[7]));
  const std::string texts = read_text_file(folder.path() / "world" / "train.txt");
  EXPECT_TRUE(texts.starts_with(world.train[0].context + "\n\n" + world.train[1].context + "\n\n"));
  EXPECT_TRUE(read_text_file(folder.path() / "world" / "validation.txt").starts_with(world.validation[0].context));
}

TEST(TinyWorld, OptionsOutOfRange) {
  const auto expect_fault = [](auto change) {
    TinyWorldOptions options = small_world();
    change(options);
    EXPECT_THROW(make_tiny_world(options), ConfigError);
  };
  expect_fault([](auto& options) { options.notes = 0; });
  expect_fault([](auto& options) { options.validation = 1'000'000; });
  expect_fault([](auto& options) { options.fewest_facts = 0; });
  expect_fault([](auto& options) { options.most_facts = 9; });
  expect_fault([](auto& options) { options.fewest_facts = 5, options.most_facts = 4; });
}

}  // namespace
}  // namespace shine
