#include "shine/train/checkpoint.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "models/tiny_model.h"
#include "shine/common/error.h"
#include "shine/io/text_file.h"
#include "support/paths.h"

namespace shine::test {
namespace {

CheckpointContents contents_at(std::int64_t step) {
  TrainProgress progress;
  progress.step = step;
  progress.optimizer_steps = step - 1;
  progress.sampler = {.epoch = 3, .next = 7, .samples = 11, .seed = UINT64_C(1) << 40};
  progress.tokens = 1234;
  progress.labels = 567;
  progress.dropped = 2;
  progress.skipped = 1;
  progress.seconds = 1.25;
  return {{{"a", random_tensor({2, 3}, 1)}, {"b", random_tensor({4}, 2).to(at::kBFloat16)}},
          {{"exp_avg.a", random_tensor({2, 3}, 3)}},
          progress,
          "run:\n  seed: 1\n"};
}

void edit_state(const std::filesystem::path& folder, const std::function<void(nlohmann::json&)>& edit) {
  nlohmann::json state = nlohmann::json::parse(read_text_file(folder / "state.json"));
  edit(state);
  write_file_atomically(folder / "state.json", state.dump());
}

TEST(Checkpoint, RoundTrip) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "some" / "step-5";
  const CheckpointContents saved = contents_at(5);
  save_checkpoint(path, saved);
  const RawTensorDict weights = read_checkpoint_weights(path);
  ASSERT_EQ(weights.size(), 2U);
  for (const auto& [name, tensor] : saved.weights) EXPECT_TRUE(at::equal(to_tensor(weights.at(name)), tensor)) << name;
  EXPECT_EQ(weights.at("b").dtype, DType::bfloat16);
  const auto moments = read_checkpoint_moments(path);
  ASSERT_EQ(moments.size(), 1U);
  EXPECT_TRUE(at::equal(moments.at("exp_avg.a"), saved.moments[0].second));
  const TrainProgress found = read_checkpoint_progress(path);
  EXPECT_EQ(found.step, 5);
  EXPECT_EQ(found.optimizer_steps, 4);
  EXPECT_EQ(found.sampler, saved.progress.sampler);
  EXPECT_EQ(found.tokens, 1234);
  EXPECT_EQ(found.labels, 567);
  EXPECT_EQ(found.dropped, 2);
  EXPECT_EQ(found.skipped, 1);
  EXPECT_EQ(found.seconds, 1.25);
  EXPECT_EQ(read_text_file(path / "config.yaml"), saved.config_yaml);
}

TEST(Checkpoint, WithoutItsMarkItIsRefused) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "step-5";
  EXPECT_THROW(read_checkpoint_weights(path), IoError);
  save_checkpoint(path, contents_at(5));
  EXPECT_THROW(save_checkpoint(path, contents_at(5)), IoError);
  std::filesystem::remove(path / "DONE");
  EXPECT_THROW(read_checkpoint_weights(path), FormatError);
  EXPECT_THROW(read_checkpoint_moments(path), FormatError);
  EXPECT_THROW(read_checkpoint_progress(path), FormatError);
}

TEST(Checkpoint, BrokenStatesAreErrors) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "step-5";
  const auto broken = [&](const std::function<void(nlohmann::json&)>& edit) {
    std::filesystem::remove_all(path);
    save_checkpoint(path, contents_at(5));
    edit_state(path, edit);
    EXPECT_THROW(read_checkpoint_progress(path), FormatError) << read_text_file(path / "state.json");
  };
  broken([](nlohmann::json& state) { state["format_version"] = 2; });
  broken([](nlohmann::json& state) { state.erase("step"); });
  broken([](nlohmann::json& state) { state["step"] = "5"; });
  broken([](nlohmann::json& state) { state["sampler"]["next"] = -1; });
  broken([](nlohmann::json& state) { state["sampler"] = 0; });
  broken([](nlohmann::json& state) { state = nlohmann::json::array(); });
  write_file_atomically(path / "state.json", "{");
  EXPECT_THROW(read_checkpoint_progress(path), FormatError);
  std::filesystem::remove(path / "state.json");
  EXPECT_THROW(read_checkpoint_progress(path), IoError);
  std::filesystem::remove(path / "trained.safetensors");
  EXPECT_THROW(read_checkpoint_weights(path), IoError);
}

TEST(CheckpointStore, KeepsTheLastAndFindsTheNewestByNumber) {
  const TemporaryFolder folder;
  const CheckpointStore store(folder.path(), /*keep_last=*/2);
  EXPECT_FALSE(store.newest());
  for (const std::int64_t step : {8, 9, 10, 11}) store.save(contents_at(step));
  EXPECT_EQ(store.newest(), store.folder_of(11));
  EXPECT_TRUE(std::filesystem::exists(store.folder_of(10)));
  EXPECT_FALSE(std::filesystem::exists(store.folder_of(9)));
  EXPECT_FALSE(std::filesystem::exists(store.folder_of(8)));
}

TEST(CheckpointStore, ASaveRemovesWhatAKilledOneLeft) {
  const TemporaryFolder folder;
  const auto left = folder.path() / "checkpoints" / "step-3.partial-1";
  std::filesystem::create_directories(left);
  CheckpointStore(folder.path(), 1).save(CheckpointContents{});
  EXPECT_FALSE(std::filesystem::exists(left));
}

TEST(CheckpointStore, IgnoresIncompleteAndForeignFolders) {
  const TemporaryFolder folder;
  const CheckpointStore store(folder.path(), /*keep_last=*/1);
  store.save(contents_at(5));
  for (const char* name : {"step-99", "step-", "step-abc", "step-7x", "step-100.partial-1", "final"}) {
    std::filesystem::create_directories(folder.path() / "checkpoints" / name);
    if (std::string(name) != "step-99") std::ofstream(folder.path() / "checkpoints" / name / "DONE") << "";
  }
  EXPECT_EQ(store.newest(), store.folder_of(5));
  store.save(contents_at(99));  // takes the place of the incomplete one
  EXPECT_EQ(store.newest(), store.folder_of(99));
  EXPECT_EQ(read_checkpoint_progress(store.folder_of(99)).step, 99);
}

}  // namespace
}  // namespace shine::test
