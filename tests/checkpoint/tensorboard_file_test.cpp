#include "checkpoint/tensorboard_file.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "checkpoint/tfrecord.h"
#include "io/files/text_file.h"
#include "shine/common/error.h"
#include "support/paths.h"

namespace shine::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

fs::path golden() {
  return golden_dir() / "tensorboard";
}

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
  return files;
}

class TensorboardFileTest : public testing::Test {
 protected:
  fs::path board() const { return folder_.path() / "run" / "tensorboard"; }
  fs::path metrics() const { return folder_.path() / "metrics.jsonl"; }
  TemporaryFolder folder_;
};

TEST(Tfrecord, ChecksumsAreThoseOfTheStandard) {
  // RFC 3720, appendix B.4: CRC-32C of 32 zero bytes is 8a9136aa; "123456789" gives e3069283.
  const auto masked = [](std::uint32_t crc) { return (crc >> 15 | crc << 17) + 0xA282EAD8U; };
  EXPECT_EQ(masked_crc32c(std::string(32, '\0')), masked(0x8A9136AA));
  EXPECT_EQ(masked_crc32c("123456789"), masked(0xE3069283));
  EXPECT_EQ(masked_crc32c(""), masked(0));
}

TEST_F(TensorboardFileTest, BytesAreThoseOfThePackageTensorboard) {
  const std::string expected = read_text_file(golden() / "expected.tfevents");
  TensorboardFile(board(), golden() / "metrics.jsonl");
  ASSERT_EQ(files_in(board()).size(), 1U);
  const fs::path file = files_in(board()).front();
  EXPECT_TRUE(read_text_file(file) == expected);
  EXPECT_TRUE(file.filename().string().starts_with("events.out.tfevents.1700000000.")) << file;
}

TEST_F(TensorboardFileTest, WritingOneByOneGivesTheSameAndIsOnDiskAtOnce) {
  const std::string text = read_text_file(golden() / "metrics.jsonl");
  TensorboardFile file(board(), metrics());
  EXPECT_FALSE(fs::exists(board())) << "no event, no file";
  std::size_t size = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    file.write(json::parse(text.substr(begin, end - begin)));
    begin = end + 1;
    const std::size_t now = fs::file_size(files_in(board()).front());
    EXPECT_GT(now, size);
    size = now;
  }
  EXPECT_TRUE(read_text_file(files_in(board()).front()) == read_text_file(golden() / "expected.tfevents"));
}

TEST_F(TensorboardFileTest, ARunThatGoesOnRewritesItsFileWhateverWasLeft) {
  const std::string text = read_text_file(golden() / "metrics.jsonl");
  const std::string expected = read_text_file(golden() / "expected.tfevents");
  TensorboardFile(board(), golden() / "metrics.jsonl");
  const fs::path first = files_in(board()).front();
  fs::resize_file(first, expected.size() - 5);  // a record cut by a crash
  const fs::path other_host = board() / "events.out.tfevents.1600000000.elsewhere.shine";
  const fs::path not_ours = board() / "events.out.tfevents.1600000000.host.17.0";
  write_file_atomically(other_host, "x");
  write_file_atomically(not_ours, "x");

  const std::size_t first_line = text.find('\n') + 1;
  write_file_atomically(metrics(), text.substr(0, first_line));
  TensorboardFile file(board(), metrics());
  EXPECT_TRUE(fs::exists(not_ours));
  EXPECT_FALSE(fs::exists(other_host));
  EXPECT_TRUE(expected.starts_with(read_text_file(first)));
  EXPECT_LT(fs::file_size(first), expected.size() - 100) << "later steps are gone";
  for (std::size_t begin = first_line; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    file.write(json::parse(text.substr(begin, end - begin)));
    begin = end + 1;
  }
  EXPECT_TRUE(read_text_file(first) == expected);
}

TEST_F(TensorboardFileTest, NumbersThatAreNotFiniteAreTheSameLiveAndReadAgain) {
  const json live{{"kind", "train"}, {"step", 1}, {"loss", std::nan("")}, {"perplexity", -std::nan("")}};
  const auto a = scalars_of(live), b = scalars_of(json::parse(live.dump()));
  ASSERT_EQ(a.size(), 2U);
  ASSERT_EQ(b.size(), 2U);
  EXPECT_EQ(a[0].tag, "train/loss");
  EXPECT_EQ(scalars_event(1, 1, a), scalars_event(1, 1, b));
}

TEST_F(TensorboardFileTest, FaultsAreOfTheFile) {
  EXPECT_THROW(scalars_of({{"step", 1}}), FormatError);
  EXPECT_THROW(scalars_of(json::array({1})), FormatError);
  write_file_atomically(folder_.path() / "file", "");
  TensorboardFile below_a_file(folder_.path() / "file" / "tensorboard", metrics());
  EXPECT_THROW(below_a_file.write({{"kind", "train"}, {"step", 1}}), IoError);
  write_file_atomically(metrics(), "no json\n");
  EXPECT_THROW(TensorboardFile(board(), metrics()), FormatError);
}

TEST_F(TensorboardFileTest, AFullDiskIsAnError) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "no /dev/full";
  fs::create_directories(board());
  write_file_atomically(metrics(), "{\"kind\":\"train\",\"step\":1,\"time\":1700000000}\n");
  TensorboardFile(board(), metrics());
  const fs::path file = files_in(board()).front();
  fs::remove(file);
  fs::create_symlink("/dev/full", file);
  EXPECT_THROW(TensorboardFile(board(), metrics()), IoError);
}

}  // namespace
}  // namespace shine::test
