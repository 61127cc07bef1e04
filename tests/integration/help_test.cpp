// --help of every program fits a screen and ends with an example.
#include <gtest/gtest.h>

#include <algorithm>

#include "integration/run_program.h"

namespace shine::test {
namespace {

constexpr std::size_t kLines = 40, kColumns = 100;

/// The programs that are built, without the tests.
std::vector<std::string> programs() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(bin_dir())) {
    const std::string name = entry.path().filename().string();
    if (name == "shine_test_rank") continue;  // for tests alone
    const bool ours = name.starts_with("shine_") || name.starts_with("bench_");
    if (entry.is_regular_file() && ours && !name.ends_with("_tests")) names.push_back(name);
  }
  return names;
}

/// The names below "Subcommands:".
std::vector<std::string> commands_of(const std::string& help) {
  std::vector<std::string> names;
  bool listed = false;
  for (const std::string& line : lines_of(help)) {
    if (listed && !line.starts_with("  ")) break;
    if (listed && !line.starts_with("   ")) names.push_back(line.substr(2, line.find(' ', 2) - 2));
    listed = listed || line == "Subcommands:";
  }
  return names;
}

/// What --help of a program, or of one of its commands, prints.
std::string expect_short_help(const std::string& program, std::vector<std::string> words) {
  words.push_back("--help");
  const Outcome outcome = run_program(program, words);
  SCOPED_TRACE(program + " " + words.front() + "\n" + outcome.out);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const std::vector<std::string> lines = lines_of(outcome.out);
  EXPECT_LE(lines.size(), kLines);
  for (const std::string& line : lines) EXPECT_LE(line.size(), kColumns) << line;
  const auto last = std::find_if(lines.rbegin(), lines.rend(), [](const std::string& line) { return !line.empty(); });
  EXPECT_TRUE(last != lines.rend() && last->starts_with("Example: ") && last->find(program) != std::string::npos);
  EXPECT_NE(outcome.out.find("Usage: " + program + " "), std::string::npos);
  return outcome.out;
}

TEST(Help, FitsAScreenAndEndsWithAnExample) {
  const std::vector<std::string> names = programs();
  for (const char* name : {"shine_train", "shine_prepare", "shine_tokenize"}) {
    EXPECT_NE(std::ranges::find(names, name), names.end()) << name << " is not built";
  }
  for (const std::string& name : names) {
    for (const std::string& command : commands_of(expect_short_help(name, {}))) expect_short_help(name, {command});
  }
  EXPECT_EQ(commands_of(run_program("shine_prepare", {"--help"}).out).size(), 4U);
}

TEST(Help, SaysOfAnOptionWhatItTakesAndWhatItIsByDefault) {
  const std::string prepare = run_program("shine_prepare", {"tiny-world", "--help"}).out;
  EXPECT_NE(prepare.find("\n  --notes INT=8000                Notes to train on\n"), std::string::npos) << prepare;
  EXPECT_NE(prepare.find("\n  --output TEXT REQUIRED          The folder\n"), std::string::npos) << prepare;
  const std::string train = run_program("shine_train", {"--help"}).out;
  EXPECT_NE(train.find("\n  --keys [GROUP] "), std::string::npos) << train;
  const std::string convert = run_program("shine_convert", {"--help"}).out;
  EXPECT_NE(convert.find("\n  --to {ours,published} "), std::string::npos) << convert;
}

}  // namespace
}  // namespace shine::test
