#include "checkpoint/run_folder.h"

#include <gtest/gtest.h>

#include "checkpoint/checkpoint_store.h"
#include "checkpoint/raw_tensors.h"
#include "io/files/text_file.h"
#include "shine/checkpoint/weights_source.h"
#include "shine/common/error.h"
#include "support/paths.h"

namespace shine::test {
namespace {

namespace fs = std::filesystem;

TEST(FinishedMark, RoundTripAndFaults) {
  const TemporaryFolder folder;
  const RunFolder run{folder.path()};
  EXPECT_FALSE(read_finished_mark(run));
  EXPECT_NO_THROW(remove_finished_mark(run));
  write_finished_mark(run, {7, 9});
  EXPECT_EQ(read_finished_mark(run), (FinishedMark{7, 9}));
  remove_finished_mark(run);
  EXPECT_FALSE(read_finished_mark(run));
  write_file_atomically(run.finished(), "yes");
  EXPECT_THROW(read_finished_mark(run), FormatError);
}

TEST(RunLock, OneProcessAtATime) {
  const TemporaryFolder folder;
  const RunFolder run{folder.path()};
  {
    const RunLock lock(run);
    EXPECT_THROW(RunLock{run}, IoError);
  }
  EXPECT_NO_THROW(RunLock{run});
  EXPECT_THROW(RunLock{RunFolder{"/nonexistent"}}, IoError);
}

CheckpointContents weights_at(std::int64_t step) {
  CheckpointContents contents;
  contents.weights = {{"a", raw_tensor({static_cast<float>(step)})}};
  contents.progress.step = step;
  return contents;
}

float first_value(const fs::path& path, bool allow_unfinished = false) {
  return *reinterpret_cast<const float*>(read_weights(find_weights(path, allow_unfinished)).at("a").data);
}

TEST(WeightsSource, OfARun) {
  const TemporaryFolder folder;
  const CheckpointStore store(folder.path(), {.last = 3});
  EXPECT_THROW(find_weights(folder.path() / "absent", false), IoError);
  EXPECT_THROW(find_weights(folder.path(), false), FormatError) << "an empty folder is no run";
  for (const std::int64_t step : {1, 2, 3}) store.save(weights_at(step));
  EXPECT_THROW(find_weights(folder.path(), false), ConfigError) << "not finished";
  EXPECT_EQ(first_value(folder.path(), /*allow_unfinished=*/true), 3);
  EXPECT_EQ(first_value(store.folder_of(2)), 2) << "a checkpoint that is named is taken";
  write_finished_mark({folder.path()}, {2, 9});
  EXPECT_EQ(first_value(folder.path()), 2) << "the checkpoint of the mark";
  EXPECT_NE(find_weights(folder.path(), false).note.find("run.max_steps ended it"), std::string::npos);
  fs::remove(store.folder_of(2) / "DONE");
  EXPECT_THROW(first_value(folder.path()), FormatError) << "never another one than the run ended with";
}

TEST(WeightsSource, OfAPublishedFolder) {
  const auto folder = golden_dir() / "fixtures" / "base_0" / "checkpoint";
  const WeightsSource source = find_weights(folder, false);
  EXPECT_TRUE(source.published);
  const RawTensorDict tensors = read_weights(source);
  EXPECT_TRUE(tensors.contains("mem_tokens"));
  EXPECT_TRUE(tensors.contains("metalora.0.attention.q.A"));
}

}  // namespace
}  // namespace shine::test
