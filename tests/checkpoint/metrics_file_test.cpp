#include "checkpoint/metrics_file.h"

#include <gtest/gtest.h>

#include <ctime>
#include <nlohmann/json.hpp>

#include "io/files/text_file.h"
#include "shine/common/error.h"
#include "support/paths.h"

namespace shine::test {
namespace {

TEST(MetricsFile, GoesOnFromTheLinesOfTheCheckpoint) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "metrics.jsonl";
  const std::string kept = "{\"kind\":\"train\",\"step\":1}\n{\"kind\":\"train\",\"step\":2}\n";
  write_file_atomically(path, kept + "{\"kind\":\"train\",\"step\":3}\n{\"kind\":\"train\",\"st");
  MetricsFile file(path, kept);
  file.write({{"kind", "train"}, {"step", 3}, {"loss", 0.5}});
  const std::string text = read_text_file(path);
  const std::string added = "{\"kind\":\"train\",\"step\":3,\"loss\":0.5,\"time\":";
  ASSERT_EQ(text.substr(0, kept.size() + added.size()), kept + added);
  const double age = static_cast<double>(std::time(nullptr)) - std::stod(text.substr(kept.size() + added.size()));
  EXPECT_GT(age, -2);
  EXPECT_LT(age, 60);
  EXPECT_EQ(file.content(), text);
}

TEST(MetricsFile, WritesForTensorBoardTooWhereAFolderIsGiven) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "metrics.jsonl", board = folder.path() / "tensorboard";
  MetricsFile(path, "").write({{"kind", "train"}, {"step", 1}});
  EXPECT_FALSE(std::filesystem::exists(board));
  MetricsFile(path, "", board);
  EXPECT_FALSE(std::filesystem::exists(board)) << "no event, no file";
  MetricsFile(path, "", board).write({{"kind", "train"}, {"step", 1}, {"loss", 0.5}});
  ASSERT_TRUE(std::filesystem::exists(board));
  const auto file = *std::filesystem::directory_iterator(board);
  const std::string written = read_text_file(file);
  EXPECT_NE(written.find("train/loss"), std::string::npos);
  MetricsFile(path, read_text_file(path), board);
  EXPECT_TRUE(read_text_file(file) == written) << "rewritten to the same bytes";
}

TEST(MetricsFile, AFolderThatDoesNotExistIsAnError) {
  EXPECT_THROW(MetricsFile("/nonexistent/metrics.jsonl", ""), IoError);
}

}  // namespace
}  // namespace shine::test
