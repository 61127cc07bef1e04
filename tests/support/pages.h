#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "support/page_text.h"
#include "support/paths.h"

namespace shine::test {

/// README.md and the pages of the folders.
inline std::vector<std::filesystem::path> pages() {
  namespace fs = std::filesystem;
  std::vector<fs::path> found{source_dir() / "README.md", source_dir() / "tests" / "README.md"};
  for (const char* root : {"configs", "include", "scripts", "src", "tools"}) {
    for (const auto& entry : fs::recursive_directory_iterator(source_dir() / root)) {
      if (entry.path().filename() == "README.md") found.push_back(entry.path());
    }
  }
  return found;
}

/// The section of a page under `## heading`.
inline std::string section_of(const std::string& page, const std::string& heading) {
  const std::size_t begin = page.find("\n## " + heading + "\n");
  if (begin == std::string::npos) return "";
  return page.substr(begin, page.find("\n## ", begin + 1) - begin);
}

}  // namespace shine::test
