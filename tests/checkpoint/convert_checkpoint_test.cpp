#include "checkpoint/convert_checkpoint.h"

#include <gtest/gtest.h>

#include "checkpoint/checkpoint_store.h"
#include "checkpoint/published_checkpoint.h"
#include "checkpoint/published_fixtures.h"
#include "checkpoint/raw_tensors.h"
#include "io/expect_fault.h"
#include "shine/checkpoint/weights_source.h"
#include "shine/common/error.h"

namespace shine::test {
namespace {

namespace fs = std::filesystem;

class ConvertCheckpoint : public testing::Test {
 protected:
  /// Expects a fault, and nothing written.
  template <class Kind>
  void expect_refusal(const std::string& part, const fs::path& from, std::optional<CheckpointLayout> layout = {}) {
    const fs::path target = folder_.path() / "target/made";
    expect_fault<Kind>(part, [&] { convert_checkpoint(from, target, layout); });
    EXPECT_TRUE(!fs::exists(target.parent_path()) || fs::is_empty(target.parent_path()));
  }

  const fs::path base_ = golden_dir() / "fixtures/base_0/checkpoint";
  TemporaryFolder folder_;
  fs::path ours_ = folder_.path() / "ours", published_ = folder_.path() / "published";
};

TEST_F(ConvertCheckpoint, ThereAndBackGivesTheSameFiles) {
  for (const fs::path& original : published_fixtures()) {
    SCOPED_TRACE(original);
    const std::string kind = original.parent_path().filename().string();
    const Conversion there = convert_checkpoint(original, ours_ / kind);
    EXPECT_EQ(there.layout, CheckpointLayout::ours);
    EXPECT_TRUE(there.notes.empty());
    const Conversion back = convert_checkpoint(ours_ / kind, published_ / kind);
    EXPECT_EQ(back.layout, CheckpointLayout::published);
    expect_same_published(published_ / kind, original);
  }
}

TEST_F(ConvertCheckpoint, OurFolderHoldsTheWeightsAndTheStep) {
  const fs::path original = folder_.path() / "checkpoint-70";
  write_published_checkpoint(original, read_published_checkpoint(base_), 70);
  write_bytes(original / "trainer_state.pt", "random states");
  const Conversion made = convert_checkpoint(original, ours_, CheckpointLayout::ours);
  EXPECT_EQ(made.step, 70);
  ASSERT_EQ(made.notes.size(), 1U);
  EXPECT_EQ(made.notes[0], "not read: trainer_state.pt");
  EXPECT_EQ(read_checkpoint(ours_).progress.step, 70);
  const RawTensorDict weights = read_weights(find_weights(ours_, false)), expected = read_published_checkpoint(base_);
  ASSERT_EQ(weights.size(), expected.size());
  for (const auto& [name, tensor] : expected) expect_equal(weights.at(name), tensor, name);
}

TEST_F(ConvertCheckpoint, TakesTheNewestCheckpointOfARun) {
  const CheckpointStore store(folder_.path() / "run", {.last = 3});
  const RawTensorDict weights = read_published_checkpoint(base_);
  for (const std::int64_t step : {3, 20}) {
    CheckpointContents contents;
    contents.weights.assign(weights.begin(), weights.end());
    contents.weights.emplace_back("new_token_rows", raw_tensor({1, 2}));
    contents.progress.step = step;
    store.save(contents);
  }
  const Conversion made = convert_checkpoint(folder_.path() / "run", published_);
  EXPECT_EQ(made.source, store.folder_of(20));
  EXPECT_EQ(read_published_step(published_), 20);
  std::string notes;
  for (const std::string& note : made.notes) notes += note + '\n';
  for (const char* part : {"step-20", "NOT finished", "optimizer", "new_token_rows.pt"}) {
    EXPECT_NE(notes.find(part), std::string::npos) << notes;
  }
  ASSERT_EQ(made.files.size(), 5U);
  EXPECT_EQ(made.files[0].first, "mem_tokens.pt");
  EXPECT_EQ(made.files[0].second, fs::file_size(published_ / "mem_tokens.pt"));
}

TEST_F(ConvertCheckpoint, EveryProgramTakesAPublishedRun) {
  fs::create_directories(published_);
  for (const char* name : {"checkpoint-epoch-1", "final"}) fs::copy(base_, published_ / name);
  write_bytes(published_ / "config.yaml", "of the program that made it");
  const WeightsSource source = find_weights(published_, false);
  EXPECT_TRUE(source.published);
  EXPECT_EQ(source.folder, published_ / "final");
  EXPECT_NE(source.note.find("final"), std::string::npos);
  EXPECT_EQ(convert_checkpoint(published_, ours_).source, published_ / "final");
}

TEST_F(ConvertCheckpoint, RefusesAndLeavesNothing) {
  expect_refusal<IoError>("no such folder", folder_.path() / "absent");
  expect_refusal<FormatError>("neither a checkpoint", folder_.path());
  expect_refusal<ConfigError>("in that layout already", base_, CheckpointLayout::published);
  fs::create_directories(published_);
  expect_fault<IoError>("exists already", [&] { convert_checkpoint(base_, published_); });

  convert_checkpoint(base_, ours_);
  expect_refusal<ConfigError>("in that layout already", ours_, CheckpointLayout::ours);
  std::string bytes = read_text_file(ours_ / "trained.safetensors");
  bytes[bytes.size() - 9] = static_cast<char>(bytes[bytes.size() - 9] ^ 1);
  write_bytes(ours_ / "trained.safetensors", bytes);
  expect_refusal<FormatError>("trained.safetensors: damaged", ours_);

  fs::copy(base_, folder_.path() / "damaged");
  bytes = read_text_file(base_ / "metalora.pth");
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  write_bytes(folder_.path() / "damaged/metalora.pth", bytes);
  expect_refusal<FormatError>("metalora.pth", folder_.path() / "damaged");

  CheckpointContents other_stage;
  other_stage.weights = {{"model.norm.weight", raw_tensor({1})}};
  save_checkpoint(folder_.path() / "backbone", other_stage);
  expect_refusal<FormatError>("mem_tokens is missing", folder_.path() / "backbone");
}

}  // namespace
}  // namespace shine::test
