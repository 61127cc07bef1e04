// The programs shine_tokenize and shine_prepare, run as a user does.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "data/qa/qa_items.h"
#include "shine/text/chat_template.h"
#include "shine/text/special_tokens.h"
#include "support/paths.h"

namespace shine {
namespace {

struct Outcome {
  int status = 0;
  std::string output;  // standard output and error
};

Outcome run(const std::string& program, const std::string& arguments, const std::string& input) {
  const test::TemporaryFolder folder;
  const std::filesystem::path file = folder.write("input", input);
  const std::string command = (test::bin_dir() / program).string() + ' ' + arguments + " < " + file.string() + " 2>&1";
  Outcome outcome;
  FILE* pipe = popen(command.c_str(), "r");
  std::array<char, 4096> buffer;
  while (const std::size_t count = fread(buffer.data(), 1, buffer.size(), pipe))
    outcome.output.append(buffer.data(), count);
  outcome.status = WEXITSTATUS(pclose(pipe));
  return outcome;
}

std::string digits_tokenizer() {
  return "--tokenizer " + (test::golden_dir() / "tokenizer" / "digits.json").string();
}

TEST(TokenizeProgram, TurnsLinesOfTextToIdsAndBack) {
  const std::string lines = "\"the ferry 12\\n\"\n\"\"\n\"a<|sep|>\\ud83d\\ude42\"\n";
  const Outcome ids = run("shine_tokenize", digits_tokenizer(), lines);
  EXPECT_EQ(ids.status, 0);
  EXPECT_EQ(std::count(ids.output.begin(), ids.output.end(), '\n'), 3);
  EXPECT_NE(ids.output.find("\n[]\n"), std::string::npos);
  const Outcome texts = run("shine_tokenize", digits_tokenizer() + " --decode", ids.output);
  EXPECT_EQ(texts.output, "\"the ferry 12\\n\"\n\"\"\n\"a<|sep|>\U0001f642\"\n");
  const Outcome bare = run("shine_tokenize", digits_tokenizer() + " --decode --skip-special", ids.output);
  EXPECT_EQ(bare.output, "\"the ferry 12\\n\"\n\"\"\n\"a\U0001f642\"\n");
  const Outcome escaped = run("shine_tokenize", digits_tokenizer() + " --escape-special", "\"<|sep|>\"\n");
  EXPECT_NE(escaped.output, run("shine_tokenize", digits_tokenizer(), "\"<|sep|>\"\n").output);
}

TEST(TokenizeProgram, NamesTheLineOfAFault) {
  const Outcome text = run("shine_tokenize", digits_tokenizer(), "\"a\"\n[1]\n");
  EXPECT_EQ(text.status, 1);
  EXPECT_NE(text.output.find("shine_tokenize: error: standard input:2"), std::string::npos) << text.output;
  for (const char* line : {"[1.5]", "[-1]", "\"a\"", "[99999999999999999999]", "[1"}) {
    const Outcome ids = run("shine_tokenize", digits_tokenizer() + " --decode", std::string("[]\n") + line + "\n");
    EXPECT_EQ(ids.status, 1) << line;
    EXPECT_NE(ids.output.find("standard input:2"), std::string::npos) << ids.output;
  }
  const Outcome missing = run("shine_tokenize", "--tokenizer /nowhere", "");
  EXPECT_EQ(missing.status, 1);
  EXPECT_NE(missing.output.find("/nowhere"), std::string::npos);
}

TEST(PrepareProgram, LearnsATokenizer) {
  const test::TemporaryFolder folder;
  folder.write("a.txt", "the cat the cat the cat");
  folder.write("b.jsonl", "{\"text\": \"a cat\"}\n");
  const std::string inputs = (folder.path() / "a.txt").string() + ' ' + (folder.path() / "b.jsonl").string();
  const std::string output = (folder.path() / "out").string();
  const Outcome made = run("shine_prepare", "tokenizer --vocab-size 262 --output " + output + " --input " + inputs, "");
  EXPECT_EQ(made.status, 0) << made.output;
  EXPECT_NE(made.output.find("262 ids"), std::string::npos) << made.output;
  EXPECT_EQ(run("shine_tokenize", "--tokenizer " + output, "\" cat\"\n").status, 0);
  EXPECT_EQ(run("shine_prepare", "tokenizer --vocab-size 2 --output " + output + " --input " + inputs, "").status, 1);
}

TEST(Programs, HelpAndVersion) {
  for (const char* program : {"shine_tokenize", "shine_prepare"}) {
    EXPECT_EQ(run(program, "--help", "").status, 0);
    EXPECT_EQ(run(program, "--version", "").output.find(std::string(program) + " 0."), 0U);
  }
}

/// The small world's tokenizer: every name and value is one token, the same in a note and as an answer.
TEST(PrepareProgram, TrainsASentencePieceTokenizerWithWholeWords) {
  const test::TemporaryFolder folder;
  const std::string world = folder.path() / "world", output = folder.path() / "tokenizer";
  ASSERT_EQ(run("shine_prepare", "tiny-world --notes 300 --validation 20 --output " + world, "").status, 0);
  for (const std::string kind : {"sentencepiece-unigram", "sentencepiece-bpe"}) {
    const std::string arguments = "tokenizer --kind " + kind + " --vocab-size 320 --input " + world +
                                  "/tokenizer.txt --words " + world + "/words.txt --output " + output;
    const Outcome trained = run("shine_prepare", arguments, "");
    ASSERT_EQ(trained.status, 0) << trained.output;
    EXPECT_NE(trained.output.find("a tokenizer of 320 ids"), std::string::npos) << trained.output;
    const auto tokenizer = load_tokenizer(output);
    EXPECT_EQ(tokenizer->size(), 320);
    for (const QaItem& item : read_qa_items(world + "/validation.jsonl")) {
      const auto note = tokenizer->encode(item.context).ids;
      for (const QaQuestion& question : item.questions) {
        const auto answer = tokenizer->encode(question.answers.front()).ids;
        ASSERT_EQ(answer.size(), 1U) << question.answers.front();
        EXPECT_EQ(std::count(note.begin(), note.end(), answer.front()), 1);
        const std::vector<ChatMessage> turn = {{"user", question.question}, {"assistant", question.answers.front()}};
        auto labels = tokenize_chat(*tokenizer, turn).labels;
        std::erase(labels, kIgnoredLabel);
        EXPECT_EQ(labels, (std::vector<std::int64_t>{answer.front(), require_token(*tokenizer, kMessageEnd)}));
      }
      EXPECT_EQ(tokenizer->decode(note), item.context);
    }
  }
  const Outcome fault = run(
      "shine_prepare",
      "tokenizer --kind sentencepiece-bpe --vocab-size 90000 --input " + world + "/tokenizer.txt --output " + output,
      "");
  EXPECT_EQ(fault.status, 1);
  EXPECT_NE(fault.output.find("Vocabulary size too high"), std::string::npos) << fault.output;
}

/// The library ends the process that it runs in.
TEST(PrepareProgram, ALibraryThatGivesUpIsOneLine) {
  const test::TemporaryFolder folder;
  const std::string path = folder.path();
  std::ofstream(path + "/t.txt") << "red blue red blue red\nblue red blue red blue\n";
  std::ofstream(path + "/w.txt") << "red\nblue\n";
  for (const std::string kind : {"unigram", "bpe"}) {
    const Outcome fault = run("shine_prepare",
                              "tokenizer --kind sentencepiece-" + kind + " --vocab-size 40 --input " + path +
                                  "/t.txt --words " + path + "/w.txt --output " + path + "/out",
                              "");
    EXPECT_EQ(fault.status, 1) << fault.output;
    EXPECT_EQ(fault.output.find("shine_prepare: error: sentencepiece: "), 0U) << fault.output;
    EXPECT_EQ(std::count(fault.output.begin(), fault.output.end(), '\n'), 1) << fault.output;
  }
}

}  // namespace
}  // namespace shine
