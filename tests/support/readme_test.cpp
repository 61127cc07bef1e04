// What the pages quote is what code and files say.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <regex>
#include <set>

#include "support/pages.h"

namespace shine::test {
namespace {

namespace fs = std::filesystem;

/// The lines between `// [name]` and `// [/name]`, without the indentation they share with the marks.
std::string marked_region(const fs::path& file, const std::string& name) {
  std::string region;
  bool inside = false;
  std::size_t indentation = 0;
  for (const std::string& line : split_lines(read_bytes(file))) {
    if (trim(line) == "// [/" + name + "]") return region;
    if (inside) region += line.substr(std::min(line.size(), indentation)) + "\n";
    if (trim(line) == "// [" + name + "]") {
      inside = true;
      indentation = line.find("//");
    }
  }
  return "no region " + name + " in " + file.string();
}

struct Snippet {
  std::string file, name, code;
};

/// Code blocks that follow a line `<!-- tests/x.cpp [name] -->`, or `<!-- configs/x.yaml -->` where all of the file is
/// shown.
std::vector<Snippet> snippets_of(const std::string& page) {
  static const std::regex mark(R"(<!-- (\S+)(?: \[(.+)\])? -->)");
  std::vector<Snippet> snippets;
  const std::vector<std::string> lines = split_lines(page);
  for (std::size_t i = 0; i + 1 < lines.size(); ++i) {
    std::smatch match;
    if (!std::regex_match(lines[i], match, mark)) continue;
    Snippet snippet{match[1], match[2], ""};
    const std::string fence = snippet.name.empty() ? "```yaml" : "```cpp";
    if (lines[++i] != fence) snippet.code = "no code block after the mark\n";
    for (++i; i < lines.size() && lines[i] != "```"; ++i) snippet.code += lines[i] + "\n";
    snippets.push_back(snippet);
  }
  return snippets;
}

/// The text of all string literals of a C++ source, neighbours joined as the compiler does.
class LiteralScanner {
 public:
  explicit LiteralScanner(const std::string& source) : source_(source) {}

  std::vector<std::string> scan() {
    bool neighbour = false;
    while (at_ < source_.size()) {
      if (starts("//")) {
        at_ = std::min(source_.find('\n', at_), source_.size());
      } else if (starts("'") && !is_digit_separator()) {
        quoted('\'');
        neighbour = false;
      } else if (starts("R\"(")) {
        const std::size_t end = source_.find(")\"", at_);
        add(source_.substr(at_ + 3, end - at_ - 3), neighbour);
        at_ = end + 2;
      } else if (starts("\"")) {
        add(quoted('"'), neighbour);
      } else {
        neighbour = neighbour && (source_[at_] == ' ' || source_[at_] == '\n');
        ++at_;
      }
    }
    return std::move(literals_);
  }

 private:
  bool starts(std::string_view text) const { return source_.compare(at_, text.size(), text) == 0; }
  bool is_digit_separator() const { return at_ > 0 && std::isalnum(static_cast<unsigned char>(source_[at_ - 1])) != 0; }

  std::string quoted(char mark) {
    std::string text;
    for (++at_; at_ < source_.size() && source_[at_] != mark; ++at_) {
      if (source_[at_] == '\\') ++at_;
      text += source_[at_];
    }
    ++at_;
    return text;
  }

  void add(const std::string& text, bool& neighbour) {
    if (neighbour) {
      literals_.back() += text;
    } else {
      literals_.push_back(text);
    }
    neighbour = true;
  }

  const std::string& source_;
  std::size_t at_ = 0;
  std::vector<std::string> literals_;
};

std::vector<std::string> literals_of(const std::string& source) {
  return LiteralScanner(source).scan();
}

std::set<std::string> literals_below(const std::vector<fs::path>& roots) {
  std::set<std::string> literals;
  for (const fs::path& root : roots) {
    for (const auto& file : fs::recursive_directory_iterator(root)) {
      const auto extension = file.path().extension();
      if (extension != ".h" && extension != ".cpp") continue;
      for (std::string& text : literals_of(read_bytes(file.path()))) literals.insert(std::move(text));
    }
  }
  return literals;
}

/// The fixed words of each message: the first column's `..` quotes, cut at the ellipses that stand for what varies.
std::vector<std::string> quoted_words(const std::string& section) {
  const std::string ellipsis = "…";
  std::vector<std::string> words;
  for (const std::string& line : split_lines(section)) {
    if (!line.starts_with("| `")) continue;
    std::string message = line.substr(2);
    const std::string marks(message.find_first_not_of('`'), '`');  // ``a `b` c`` quotes text that holds `
    message = trim(message.substr(marks.size(), message.find(marks, marks.size()) - marks.size()));
    for (std::size_t begin = 0; begin <= message.size();) {
      const std::size_t end = std::min(message.find(ellipsis, begin), message.size());
      const std::string part = trim(message.substr(begin, end - begin));
      if (!part.empty()) words.push_back(part);
      begin = end + ellipsis.size();
    }
  }
  return words;
}

TEST(Readme, ExamplesAreTheTextOfTestsAndFiles) {
  std::size_t found = 0;
  for (const fs::path& page : pages()) {
    for (const Snippet& snippet : snippets_of(read_bytes(page))) {
      const fs::path file = source_dir() / snippet.file;
      const std::string text = snippet.name.empty() ? read_bytes(file) : marked_region(file, snippet.name);
      EXPECT_EQ(snippet.code, text) << snippet.file << " in " << page;
      ++found;
    }
  }
  EXPECT_GE(found, 8U);
}

TEST(Readme, QuotedMessagesAreThoseOfTheCode) {
  const std::string section = section_of(read_bytes(source_dir() / "tools" / "README.md"), "When something goes wrong");
  const std::vector<std::string> all = quoted_words(section);
  EXPECT_GE(all.size(), 25U);
  const std::set<std::string> literals = literals_below(
      {source_dir() / "src", source_dir() / "include", source_dir() / "tools", source_dir() / "scripts"});
  for (const std::string& words : all) {
    const bool found = std::any_of(literals.begin(), literals.end(),
                                   [&](const std::string& text) { return text.find(words) != std::string::npos; });
    EXPECT_TRUE(found) << "no message holds: " << words;
  }
}

TEST(Readme, TheCheckOfMessagesCanFail) {
  EXPECT_EQ(literals_of("f(\"a\\\"b\" \"c\", '\"', \"d\" // \"no\n \"e\"); x = 1'000; \"f\""),
            (std::vector<std::string>{"a\"bc", "de", "f"}));
  EXPECT_EQ(literals_of("R\"(x`\"y)\""), (std::vector<std::string>{"x`\"y"}));
  EXPECT_EQ(quoted_words("| `a b … c` (status `1`) | why | what |\n| `` `k` … d `` | why |\n|---|\n"),
            (std::vector<std::string>{"a b", "c", "`k`", "d"}));
  EXPECT_EQ(section_of("# T\n## A\nx\n## B\ny\n", "B"), "\n## B\ny\n");
  EXPECT_EQ(snippets_of("<!-- t.cpp [n] -->\n```cpp\nint x;\n```\n").at(0).code, "int x;\n");
  EXPECT_EQ(snippets_of("<!-- c.yaml -->\n```yaml\na: 1\n```\n").at(0).code, "a: 1\n");
}

}  // namespace
}  // namespace shine::test
