// The commands of "Train on your own text and questions" (configs/README.md), in their order, from a fresh folder.
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "integration/run_program.h"
#include "support/page_text.h"

namespace shine::test {
namespace {

namespace fs = std::filesystem;

/// The lines of the page below `## heading`, up to the next heading of its rank.
std::vector<std::string> section_of(const std::string& page, const std::string& heading) {
  std::vector<std::string> section;
  bool inside = false;
  for (const std::string& line : split_lines(page)) {
    if (line.starts_with("## ")) inside = line == "## " + heading;
    if (inside) section.push_back(line);
  }
  return section;
}

/// The text of its blocks of commands.
std::vector<std::string> commands_of(const std::vector<std::string>& section) {
  std::vector<std::string> blocks;
  bool inside = false;
  for (const std::string& line : section) {
    if (inside && line != "```") blocks.back() += line + "\n";
    if (line == "```sh") blocks.emplace_back();
    inside = line == "```sh" || (inside && line != "```");
  }
  return blocks;
}

class MyFirst : public testing::Test {
 protected:
  /// The repository as one that has been built, without `runs` and `data`.
  void SetUp() override {
    fs::create_directories(folder_.path() / "build/release");
    fs::create_directory_symlink(source_dir() / "configs", folder_.path() / "configs");
    fs::create_directory_symlink(bin_dir(), folder_.path() / "build/release/bin");
  }

  Outcome shell(const std::string& commands) const {
    return run_command({"bash", "-euc", "cd " + quoted(folder_.path().string()) + "\n" + commands});
  }

  TemporaryFolder folder_;
};

TEST_F(MyFirst, ThePageLeadsFromATextToATable) {
  const std::vector<std::string> section =
      section_of(read_bytes(source_dir() / "configs/README.md"), "Train on your own text and questions");
  const std::vector<std::string> blocks = commands_of(section);
  ASSERT_EQ(blocks.size(), 6U);
  Outcome last;
  for (const std::string& block : blocks) {
    last = shell(block);
    ASSERT_EQ(last.status, 0) << block << last.err;
  }
  for (const std::string& line : section) {  // the head of the table that the page shows, its methods and their numbers
    if (!line.starts_with("|")) continue;
    const std::string start = line.starts_with("|---") ? line : line.substr(0, line.find('.'));
    const std::string stem = start.substr(0, start.find_last_of("| ") + 1);
    EXPECT_NE(last.out.find("\n" + stem), std::string::npos) << stem << " is not in\n" << last.out;
  }
  const fs::path results = folder_.path() / "runs/my_first/questions/evaluation/1qa-questions";
  std::map<std::string, double> exact;
  const auto summary = nlohmann::json::parse(read_bytes(results / "summary.json"));
  for (const auto& method : summary.at("methods")) {
    exact[method.at("method")] = method.at("exact").at(0);
  }
  EXPECT_EQ(exact.size(), 4U);
  EXPECT_GE(exact["shine"], 0.9);
  EXPECT_LE(exact["shuffled"], 0.2);
  EXPECT_LE(exact["naive"], 0.2);
}

}  // namespace
}  // namespace shine::test
