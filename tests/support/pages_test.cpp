// What the pages (README.md of the repository and of its folders) name exists.
#include "support/pages.h"

#include <gtest/gtest.h>

#include <cctype>
#include <regex>
#include <set>

namespace shine::test {
namespace {

namespace fs = std::filesystem;

/// `m2p_{a,b}.h` -> m2p_a.h, m2p_b.h
std::vector<std::string> expand_braces(const std::string& text) {
  static const std::regex group(R"(\{([^{}]*)\})");
  std::smatch match;
  if (!std::regex_search(text, match, group)) return {text};
  std::vector<std::string> all;
  const std::string choices = match[1].str() + ",";
  for (std::size_t begin = 0; begin < choices.size();) {
    const std::size_t end = choices.find(',', begin);
    const std::string chosen = match.prefix().str() + choices.substr(begin, end - begin) + match.suffix().str();
    for (std::string& each : expand_braces(chosen)) all.push_back(std::move(each));
    begin = end + 1;
  }
  return all;
}

/// Whether a part of the path stands for others: MODEL, stage_NAME.cpp, X.
bool is_placeholder(const fs::path& path) {
  static const std::regex capitals(R"((.*_)?[A-Z]+(\..*)?)");
  return std::ranges::any_of(path, [](const fs::path& part) {
    return part != "README.md" && part != "LICENSE" && std::regex_match(part.string(), capitals);
  });
}

std::set<std::string> source_names() {
  std::set<std::string> names;
  for (const char* root : {"include", "src", "tests", "tools"}) {
    for (const auto& entry : fs::recursive_directory_iterator(source_dir() / root)) {
      names.insert(entry.path().filename().string());
    }
  }
  return names;
}

/// The place of a heading, as a link names it: "To add a key" -> "to-add-a-key".
std::string anchor_of(const std::string& heading) {
  std::string anchor;
  for (const char c : heading) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) anchor += static_cast<char>(std::tolower(c));
    if (c == ' ' || c == '-') anchor += '-';
  }
  return anchor;
}

/// Finds what a page names: paths in `..`, as the page's folder, src, include or the repository's root has them, with
/// or without their extension; and the targets of its links.
class PathChecker {
 public:
  /// @param folder  of the page
  PathChecker(fs::path folder, const std::set<std::string>& names) : folder_(std::move(folder)), names_(names) {}

  /// What is named in `line` and does not exist; counts what does.
  std::vector<std::string> missing(const std::string& line, std::size_t& found) const {
    std::vector<std::string> all;
    const auto check = [&](const std::string& name, bool exists) { exists ? void(++found) : all.push_back(name); };
    static const std::regex code("`([A-Za-z0-9_./{},+-]+)`"), link(R"(\]\(([^)]+)\))");
    for (std::sregex_iterator match(line.begin(), line.end(), code), end; match != end; ++match) {
      for (const std::string& name : expand_braces((*match)[1])) {
        if (is_placeholder(name)) continue;
        if (is_path(name)) check(name, path_exists(name));
        if (is_source(name)) check(name, names_.contains(name));
      }
    }
    for (std::sregex_iterator match(line.begin(), line.end(), link), end; match != end; ++match) {
      const std::string target = (*match)[1];
      if (!target.starts_with("http")) check(target, target_exists(target));
    }
    return all;
  }

 private:
  /// Of this repository: others are of a run, a machine or a user.
  bool is_path(const std::string& name) const {
    static const std::set<std::string> tops{"include", "src", "tests", "scripts", "tools", "configs", "cmake", ".ci"};
    const std::size_t slash = name.find('/');
    if (slash == std::string::npos || slash == 0 || name == "../shared") return false;
    const std::string first = name.substr(0, slash);
    if (tops.contains(first) || first == "..") return true;
    const bool in_page = folder_ != source_dir() && fs::is_directory(folder_ / first);
    const bool of_layers = folder_.lexically_relative(source_dir()).begin()->string() == "src";
    return in_page || (of_layers && fs::is_directory(source_dir() / "src" / first));
  }

  static bool is_source(const std::string& name) {
    static const std::regex source(R"([a-z0-9_]+\.(h|cpp|cu|cuh))");
    return std::regex_match(name, source);
  }

  bool path_exists(const std::string& name) const {
    for (const fs::path& root : {source_dir(), folder_, source_dir() / "src", source_dir() / "include"}) {
      for (const char* extension : {"", ".h", ".cpp", ".cu", ".sh", ".py"}) {
        if (fs::exists((root / (name + extension)).lexically_normal())) return true;
      }
    }
    return false;
  }

  bool target_exists(const std::string& target) const {
    const std::size_t hash = std::min(target.find('#'), target.size());
    const fs::path file = (folder_ / target.substr(0, hash)).lexically_normal();
    if (hash == target.size()) return fs::exists(file);
    for (const std::string& line : split_lines(read_bytes(hash == 0 ? folder_ / "README.md" : file))) {
      if (!line.starts_with("#")) continue;
      if (anchor_of(trim(line.substr(line.find_first_not_of('#')))) == target.substr(hash + 1)) return true;
    }
    return false;
  }

  fs::path folder_;
  const std::set<std::string>& names_;
};

/// Without blocks of code.
std::vector<std::string> prose_of(const std::string& page) {
  std::vector<std::string> prose;
  bool in_code = false;
  for (const std::string& line : split_lines(page)) {
    if (line.starts_with("```")) in_code = !in_code;
    if (!in_code) prose.push_back(line);
  }
  return prose;
}

TEST(Pages, NamedPathsExist) {
  const std::set<std::string> names = source_names();
  std::size_t found = 0;
  for (const fs::path& page : pages()) {
    const PathChecker checker(page.parent_path(), names);
    for (const std::string& line : prose_of(read_bytes(page))) {
      for (const std::string& name : checker.missing(line, found)) {
        ADD_FAILURE() << page.string() << " names " << name << ", which does not exist: " << line;
      }
    }
  }
  EXPECT_GE(found, 300U);
}

TEST(Pages, TheCheckOfPathsCanFail) {
  const std::set<std::string> names{"error.h"};
  const PathChecker checker(source_dir() / "src" / "common", names);
  std::size_t found = 0;
  const auto missing = [&](const std::string& line) { return checker.missing(line, found); };
  EXPECT_EQ(missing("`error.h`, `src/common/{error,gone}.cpp`, `../train/none`, `gone.h`, `text/nowhere.h`"),
            (std::vector<std::string>{"src/common/gone.cpp", "../train/none", "gone.h", "text/nowhere.h"}));
  EXPECT_EQ(found, 2U);
  EXPECT_EQ(missing("[a](../text), [b](../none.md), [c](README.md#rules), [d](README.md#none), [e](http://x.org/y)"),
            (std::vector<std::string>{"../none.md", "README.md#none"}));
  EXPECT_EQ(missing("`configs/MODEL/STAGE.yaml` `stage_NAME.cpp` `src/X/name.cpp` `runs/a/metrics.jsonl` `a.b(c)`"),
            std::vector<std::string>{});
}

/// Rows `file` .. `function` of a table; files as the page's folder has them.
std::size_t check_functions(const fs::path& page) {
  static const std::regex name("`([^`]+)`");
  std::size_t rows = 0;
  for (const std::string& line : split_lines(read_bytes(page))) {
    if (!line.starts_with("|")) continue;
    std::string code;
    for (std::sregex_iterator match(line.begin(), line.end(), name), end; match != end; ++match) {
      const std::string text = (*match)[1];
      if (text.ends_with(".cpp")) {
        code += read_bytes(page.parent_path() / text);
      } else if (!code.empty()) {
        EXPECT_NE(code.find(text), std::string::npos) << line;
        ++rows;
      }
    }
  }
  return rows;
}

TEST(Pages, IdeasOfThePaperAreWhereTheTablesSay) {
  EXPECT_GE(check_functions(source_dir() / "README.md"), 10U);
  EXPECT_GE(check_functions(source_dir() / "src" / "README.md"), 25U);
}

TEST(Pages, TheFrontDoorIsShort) {
  EXPECT_LE(read_bytes(source_dir() / "README.md").size(), 15'000U);
}

TEST(Pages, EveryProgramAndScriptIsNamed) {
  const auto expect_named = [](const fs::path& page, const std::string& name) {
    EXPECT_NE(read_bytes(source_dir() / page).find("`" + name), std::string::npos) << name << " is not in " << page;
  };
  for (const auto& entry : fs::directory_iterator(source_dir() / "tools")) {
    const std::string name = entry.path().stem().string();
    if (!name.starts_with("shine_")) continue;
    expect_named("README.md", name);
    expect_named("tools/README.md", name);
  }
  for (const auto& entry : fs::directory_iterator(source_dir() / "tools" / "bench")) {
    const fs::path& file = entry.path();
    const bool program = file.extension() == ".cpp" && read_bytes(file).find("\nint main(") != std::string::npos;
    if (program) expect_named("tools/bench/README.md", file.stem().string());
  }
  for (const auto& entry : fs::directory_iterator(source_dir() / "scripts")) {
    const std::string name = entry.path().filename().string();
    const bool shown = name == "lib" || name == "fixtures" || name.ends_with(".sh") || name.ends_with(".py");
    if (shown) expect_named("scripts/README.md", name);
  }
}

}  // namespace
}  // namespace shine::test
