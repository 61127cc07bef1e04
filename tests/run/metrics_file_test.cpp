#include "shine/run/metrics_file.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "shine/common/error.h"
#include "shine/io/text_file.h"
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
  EXPECT_EQ(read_text_file(path), kept + "{\"kind\":\"train\",\"step\":3,\"loss\":0.5}\n");
  EXPECT_EQ(file.content(), read_text_file(path));
}

TEST(MetricsFile, AFolderThatDoesNotExistIsAnError) {
  EXPECT_THROW(MetricsFile("/nonexistent/metrics.jsonl", ""), IoError);
}

}  // namespace
}  // namespace shine::test
