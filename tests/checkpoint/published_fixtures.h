#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <vector>

#include "io/files/text_file.h"
#include "io/torch_file_bytes.h"
#include "support/paths.h"

namespace shine::test {

/// The checkpoints that the published implementation wrote: one of every kind.
inline std::vector<std::filesystem::path> published_fixtures() {
  std::vector<std::filesystem::path> folders;
  for (const auto& entry : std::filesystem::directory_iterator(golden_dir() / "fixtures")) {
    if (entry.path().filename().string().starts_with("family_")) continue;  // of make_family.py
    if (std::filesystem::exists(entry.path() / "checkpoint")) folders.push_back(entry.path() / "checkpoint");
  }
  EXPECT_GE(folders.size(), 8U);
  return folders;
}

/// Expects the same files with the same bytes; torch.save's files may differ in their serialization id.
inline void expect_same_published(const std::filesystem::path& found, const std::filesystem::path& expected) {
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(expected)) {
    const auto name = entry.path().filename();
    SCOPED_TRACE(name);
    std::string bytes = read_text_file(found / name), expected_bytes = read_text_file(entry.path());
    if (name.extension() != ".json") {
      bytes = without_serialization_id(std::move(bytes));
      expected_bytes = without_serialization_id(std::move(expected_bytes));
    }
    EXPECT_TRUE(bytes == expected_bytes);
    ++files;
  }
  const std::filesystem::directory_iterator all(found);
  EXPECT_EQ(static_cast<std::size_t>(std::distance(begin(all), end(all))), files) << "files that were not asked for";
}

}  // namespace shine::test
