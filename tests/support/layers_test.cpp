// Includes point only downwards through the layers.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <regex>

#include "support/paths.h"

namespace shine::test {
namespace {

/// Every layer, in include/shine and src, with its rank; equal ranks must not include each other. The build holds each
/// layer to the ones in its CMakeLists.txt, which is stricter.
const std::map<std::string, int> kRanks{{"common", 0},  {"config", 1},      {"tensor", 2},       {"io", 3},
                                        {"kernels", 3}, {"distributed", 3}, {"text", 4},         {"ops", 4},
                                        {"lora", 5},    {"data", 5},        {"nn", 6},           {"checkpoint", 6},
                                        {"optim", 7},   {"decoder", 7},     {"hypernetwork", 8}, {"adapter", 8},
                                        {"train", 9},   {"eval", 10},       {"app", 11}};

/// "a/b includes c/d" for every include that breaks the order, in one file of `layer`.
std::vector<std::string> violations(const std::filesystem::path& file, const std::string& layer) {
  static const std::regex include(R"re(^\s*#include\s+"(shine/)?([a-z_0-9]+)/)re");
  std::vector<std::string> found;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    std::smatch match;
    if (!std::regex_search(line, match, include) || match[2] == layer) continue;
    const auto target = kRanks.find(match[2]);
    if (target == kRanks.end() && !match[1].matched) continue;
    if (target == kRanks.end() || target->second >= kRanks.at(layer)) found.push_back(file.string() + ": " + line);
  }
  return found;
}

std::vector<std::string> violations_below(const std::filesystem::path& root) {
  std::vector<std::string> all;
  for (const auto& layer : std::filesystem::directory_iterator(root)) {
    if (!layer.is_directory()) continue;
    const std::string name = layer.path().filename();
    if (!kRanks.contains(name)) all.push_back("no rank for layer " + name);
    if (!kRanks.contains(name)) continue;
    for (const auto& file : std::filesystem::recursive_directory_iterator(layer)) {
      const auto extension = file.path().extension();
      if (extension != ".h" && extension != ".cpp" && extension != ".cu") continue;
      for (std::string& violation : violations(file.path(), name)) all.push_back(std::move(violation));
    }
  }
  return all;
}

std::string lines(const std::vector<std::string>& all) {
  std::string text;
  for (const std::string& line : all) text += line + "\n";
  return text;
}

TEST(Layers, IncludesPointDownwards) {
  for (const char* root : {"include/shine", "src"}) {
    const auto all = violations_below(source_dir() / root);
    EXPECT_TRUE(all.empty()) << lines(all);
  }
}

TEST(Layers, AnUpwardIncludeIsFound) {
  const TemporaryFolder folder;
  folder.write("io/bad.h", "#include \"shine/train/trainer.h\"\n#include \"shine/common/str.h\"\n");
  EXPECT_EQ(violations_below(folder.path()).size(), 1U);
  folder.write("io/bad.cpp",
               "#include \"text/unicode/utf8.h\"\n#include \"io/files/posix_file.h\"\n#include \"posix_file.h\"\n"
               "#include \"nlohmann/json.hpp\"\n#include \"shine/nowhere/x.h\"\n");
  EXPECT_EQ(violations_below(folder.path()).size(), 3U);
}

TEST(Layers, ParsersOfForeignFilesIncludeNoTorch) {
  static const std::regex torch(R"re(^\s*#include\s+[<"](torch|ATen|c10|shine/tensor/torch_tensor\.h)[/">])re");
  EXPECT_TRUE(std::regex_search("#include <ATen/core/Tensor.h>", torch));
  for (const char* layer : {"common", "config", "io", "text", "data"}) {
    for (const auto& root : {source_dir() / "include/shine", source_dir() / "src"}) {
      for (const auto& file : std::filesystem::recursive_directory_iterator(root / layer)) {
        std::ifstream in(file.path());
        for (std::string line; std::getline(in, line);) {
          EXPECT_FALSE(std::regex_search(line, torch)) << file.path() << ": " << line;
        }
      }
    }
  }
}

/// A name that decides where a tensor belongs is written once.
TEST(Layers, PartsOfTheHypernetworkAreNamedInOneHeader) {
  static const std::regex name(
      R"re("(mem_tokens|metanetwork|metalora|extra_metalora|new_token_rows)(\.(?!pth?\b)[^"]*)?")re");
  EXPECT_TRUE(std::regex_search(R"(x.starts_with("metanetwork."))", name));
  EXPECT_TRUE(std::regex_search(R"(x == "mem_tokens")", name));
  EXPECT_FALSE(std::regex_search(R"(file / "metanetwork.pth")", name)) << "a file of the published layout";
  for (const char* root : {"include", "src", "tools"}) {
    for (const auto& file : std::filesystem::recursive_directory_iterator(source_dir() / root)) {
      const auto extension = file.path().extension();
      if ((extension != ".h" && extension != ".cpp") || file.path().filename() == "parameter_names.h") continue;
      std::ifstream in(file.path());
      for (std::string line; std::getline(in, line);) {
        EXPECT_FALSE(std::regex_search(line.substr(0, line.find("//")), name)) << file.path() << ": " << line;
      }
    }
  }
}

TEST(Layers, PublicHeadersIncludePublicOnesAlone) {
  static const std::regex include(R"re(^\s*#include\s+"([^"]+)")re");
  const auto root = source_dir() / "include";
  for (const auto& file : std::filesystem::recursive_directory_iterator(root)) {
    if (file.path().extension() != ".h") continue;
    std::ifstream in(file.path());
    for (std::string line; std::getline(in, line);) {
      std::smatch match;
      if (!std::regex_search(line, match, include)) continue;
      EXPECT_TRUE(std::filesystem::exists(root / match[1].str())) << file.path() << ": " << line;
    }
  }
}

TEST(Layers, NoPublicHeaderIncludesAllOfTorch) {
  for (const auto& file : std::filesystem::recursive_directory_iterator(source_dir() / "include")) {
    if (file.path().extension() != ".h") continue;
    std::ifstream in(file.path());
    for (std::string line; std::getline(in, line);) {
      EXPECT_EQ(line.find("#include <torch/torch.h>"), std::string::npos) << file.path();
      EXPECT_EQ(line.find("#include <ATen/ATen.h>"), std::string::npos) << file.path();
    }
  }
}

}  // namespace
}  // namespace shine::test
