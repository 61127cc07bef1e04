// The programs shine_tokenize and shine_prepare, run as a user does.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>

#include "support/paths.h"

namespace shine {
namespace {

struct Outcome {
  int status = 0;
  std::string output;  // standard output and error
};

Outcome run(const std::string& program, const std::string& arguments, const std::string& input) {
  const test::TemporaryFolder folder;
  const std::filesystem::path file = folder.path() / "input";
  std::ofstream(file) << input;
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
  std::ofstream(folder.path() / "a.txt") << "the cat the cat the cat";
  std::ofstream(folder.path() / "b.jsonl") << "{\"text\": \"a cat\"}\n";
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

}  // namespace
}  // namespace shine
