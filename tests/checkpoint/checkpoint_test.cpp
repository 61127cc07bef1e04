#include "checkpoint/checkpoint.h"

#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "checkpoint/checkpoint_saver.h"
#include "checkpoint/checkpoint_store.h"
#include "checkpoint/raw_tensors.h"
#include "io/files/atomic_folder.h"
#include "io/files/text_file.h"
#include "shine/common/error.h"
#include "support/faults.h"
#include "support/paths.h"

namespace shine::test {
namespace {

namespace fs = std::filesystem;

CheckpointContents contents_at(std::int64_t step) {
  CheckpointContents contents;
  contents.weights = {{"a", raw_tensor({1, 2, 3})}, {"b", raw_tensor({4})}};
  contents.moments = {{"exp_avg.a", raw_tensor({5, 6, 7})}};
  contents.random = {{"cpu", raw_tensor({8})}};
  contents.progress = {.step = step,
                       .total_steps = 40,
                       .optimizer_steps = step - 1,
                       .validated_step = 3,
                       .sampler = {.epoch = 3,
                                   .next = 7,
                                   .samples = 11,
                                   .seed = UINT64_C(1) << 40,
                                   .by_length_batch_size = 7,
                                   .by_length_accumulation = 5},
                       .tokens = 1234,
                       .labels = 567,
                       .dropped = 2,
                       .skipped = 1,
                       .context_tokens_cut = 12,
                       .conversation_tokens_cut = 13,
                       .seconds = 1.25,
                       .data_fingerprints = {{"train", UINT64_MAX}, {"held out", 5}}};
  contents.made_by = {"0.1.0 (abc)", {{"libtorch", "2.11.0"}}, "cpu", 2};
  contents.config_yaml = "run:\n  seed: 1\n";
  contents.metrics = "{\"kind\":\"train\",\"step\":1}\n";
  return contents;
}

void expect_same(const RawTensorDict& found, const NamedRawTensors& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (const auto& [name, tensor] : expected) {
    EXPECT_EQ(found.at(name).shape, tensor.shape) << name;
    EXPECT_EQ(bytes_of_tensor(found.at(name)), bytes_of_tensor(tensor)) << name;
  }
}

/// Changes one byte of a file without changing its size.
void flip_byte(const fs::path& file, std::size_t at) {
  std::string bytes = read_text_file(file);
  bytes.at(at) ^= 1;
  write_bytes(file, bytes);
}

TEST(Checkpoint, RoundTrip) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "some" / "step-5";
  const CheckpointContents saved = contents_at(5);
  save_checkpoint(path, saved);
  const Checkpoint found = read_checkpoint(path);
  expect_same(found.weights, saved.weights);
  expect_same(found.moments, saved.moments);
  expect_same(found.random, saved.random);
  EXPECT_EQ(found.progress, saved.progress);
  EXPECT_EQ(found.made_by, saved.made_by);
  EXPECT_EQ(found.metrics, saved.metrics);
  expect_same(read_checkpoint_weights(path), saved.weights);
  EXPECT_EQ(read_checkpoint_progress(path), saved.progress);
  EXPECT_EQ(read_checkpoint_provenance(path), saved.made_by);
  EXPECT_EQ(read_text_file(path / "config.yaml"), saved.config_yaml);
}

TEST(Checkpoint, WithoutItsMarkItIsRefused) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "step-5";
  EXPECT_THROW(read_checkpoint(path), IoError);
  save_checkpoint(path, contents_at(5));
  EXPECT_THROW(save_checkpoint(path, contents_at(5)), IoError);
  fs::remove(path / "DONE");
  EXPECT_THROW(read_checkpoint(path), FormatError);
  EXPECT_THROW(read_checkpoint_weights(path), FormatError);
  EXPECT_THROW(read_checkpoint_progress(path), FormatError);
}

TEST(Checkpoint, EveryChangedByteIsNoticed) {
  const TemporaryFolder folder;
  for (const char* name : {"trained.safetensors", "optimizer.safetensors", "random.safetensors", "state.json",
                           "config.yaml", "metrics.jsonl"}) {
    const auto path = folder.path() / name;
    save_checkpoint(path, contents_at(5));
    flip_byte(path / name, fs::file_size(path / name) - 2);
    expect_fault<FormatError>(std::string(name) + ": damaged", [&] { read_checkpoint(path); });
  }
  EXPECT_THROW(read_checkpoint_weights(folder.path() / "trained.safetensors"), FormatError);
  EXPECT_THROW(read_checkpoint_progress(folder.path() / "state.json"), FormatError);
  EXPECT_NO_THROW(read_checkpoint_weights(folder.path() / "state.json"));
}

TEST(Checkpoint, MissingAndShortenedFilesAreNoticed) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "step-5";
  save_checkpoint(path, contents_at(5));
  fs::resize_file(path / "optimizer.safetensors", 20);
  EXPECT_THROW(read_checkpoint(path), FormatError);
  fs::remove(path / "optimizer.safetensors");
  EXPECT_THROW(read_checkpoint(path), FormatError);
}

/// Rewrites state.json and the mark, as another program might.
void edit_state(const fs::path& folder, const std::function<void(nlohmann::json&)>& edit) {
  nlohmann::json state = nlohmann::json::parse(read_text_file(folder / "state.json"));
  edit(state);
  const auto copy = folder.parent_path() / "edited";
  FolderWriter writer(copy);
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().filename() != "DONE") fs::copy(entry.path(), writer.path() / entry.path().filename());
  }
  write_file_atomically(writer.path() / "state.json", state.dump());
  writer.commit();
  fs::remove_all(folder);
  fs::rename(copy, folder);
}

TEST(Checkpoint, BrokenStatesAreErrors) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "step-5";
  const auto edited = [&](const std::function<void(nlohmann::json&)>& edit) {
    fs::remove_all(path);
    save_checkpoint(path, contents_at(5));
    edit_state(path, edit);
  };
  for (const std::function<void(nlohmann::json&)>& edit : std::vector<std::function<void(nlohmann::json&)>>{
           [](auto& state) { state.erase("step"); }, [](auto& state) { state["step"] = "5"; },
           [](auto& state) { state["sampler"]["next"] = -1; },
           [](auto& state) { state["sampler"]["by_length_batch_size"] = -1; },
           [](auto& state) { state["sampler"] = 0; }, [](auto& state) { state["data_fingerprints"]["train"] = "12x"; },
           [](auto& state) { state["libraries"] = 1; }, [](auto& state) { state = nlohmann::json::array(); }}) {
    edited(edit);
    EXPECT_THROW(read_checkpoint(path), FormatError) << read_text_file(path / "state.json");
  }
  edited([](auto& state) { state["format_version"] = 3; });
  EXPECT_THROW(read_checkpoint(path), UnsupportedError);
}

TEST(Checkpoint, OneMadeBeforeTheOrderByLengthIsRead) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "step-5";
  save_checkpoint(path, contents_at(5));
  edit_state(path, [](auto& state) { state["sampler"].erase("by_length_batch_size"); });
  TrainProgress expected = contents_at(5).progress;
  expected.sampler.by_length_batch_size = expected.sampler.by_length_accumulation = 0;
  EXPECT_EQ(read_checkpoint(path).progress, expected);
}

TEST(FolderMark, NamesOutsideTheFolderAreRefused) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "step-5";
  for (const char* name : {"../secret", "/etc/passwd", "a/../../secret", ""}) {
    fs::remove_all(path);
    save_checkpoint(path, contents_at(5));
    nlohmann::json mark = nlohmann::json::parse(read_text_file(path / "DONE"));
    mark["files"][name] = {{"bytes", 1}, {"checksum", "0"}};
    write_file_atomically(path / "DONE", mark.dump());
    EXPECT_THROW(verify_folder(path), FormatError) << name;
  }
  for (const char* text : {"", "{", "{}", R"({"checksum": "md5", "files": {}})", R"({"checksum": "xxh3_64"})"}) {
    write_file_atomically(path / "DONE", text);
    EXPECT_THROW(verify_folder(path), FormatError) << text;
  }
}

TEST(CheckpointStore, KeepsTheLastAndFindsTheNewestByNumber) {
  const TemporaryFolder folder;
  const CheckpointStore store(folder.path(), {.last = 2});
  EXPECT_TRUE(store.complete().empty());
  for (const std::int64_t step : {8, 9, 10, 11}) store.save(contents_at(step));
  EXPECT_EQ(store.complete(), (std::vector{store.folder_of(11), store.folder_of(10)}));
}

TEST(CheckpointStore, KeepsMultiplesForGood) {
  const TemporaryFolder folder;
  const CheckpointStore store(folder.path(), {.last = 1, .every = 4});
  for (std::int64_t step = 2; step <= 10; ++step) store.save(contents_at(step));
  EXPECT_EQ(store.complete(), (std::vector{store.folder_of(10), store.folder_of(8), store.folder_of(4)}));
}

TEST(CheckpointStore, ASaveRemovesWhatAKilledOneLeft) {
  const TemporaryFolder folder;
  const auto left = folder.path() / "checkpoints" / "step-3.partial-1";
  fs::create_directories(left);
  CheckpointStore(folder.path()).save(CheckpointContents{});
  EXPECT_FALSE(fs::exists(left));
}

TEST(CheckpointStore, IgnoresIncompleteAndForeignFolders) {
  const TemporaryFolder folder;
  const CheckpointStore store(folder.path(), {.last = 1});
  store.save(contents_at(5));
  for (const char* name : {"step-99", "step-", "step-abc", "step-7x", "step-100.partial-1", "final"}) {
    fs::create_directories(folder.path() / "checkpoints" / name);
    if (std::string(name) != "step-99") std::ofstream(folder.path() / "checkpoints" / name / "DONE") << "";
  }
  EXPECT_EQ(store.complete(), (std::vector{store.folder_of(5)}));
  store.save(contents_at(99));  // takes the place of the incomplete one
  EXPECT_EQ(store.complete(), (std::vector{store.folder_of(99)}));
  EXPECT_EQ(read_checkpoint_progress(store.folder_of(99)).step, 99);
}

TEST(CheckpointStore, AFolderThatCannotBeListedIsNotAnEmptyOne) {
  const TemporaryFolder folder;
  const CheckpointStore store(folder.path());
  fs::create_directory_symlink(folder.path() / "not mounted", folder.path() / "checkpoints");
  EXPECT_THROW(store.complete(), IoError);
  fs::remove(folder.path() / "checkpoints");
  write_file_atomically(folder.path() / "checkpoints", "a file");
  EXPECT_THROW(store.complete(), IoError);
}

TEST(CheckpointStore, ADamagedNewestIsSkippedWithItsReason) {
  const TemporaryFolder folder;
  const CheckpointStore store(folder.path(), {.last = 3});
  std::vector<std::string> reasons;
  const auto note = [&](const std::string& reason) { reasons.push_back(reason); };
  EXPECT_FALSE(store.newest_intact(note));
  for (const std::int64_t step : {1, 2, 3}) store.save(contents_at(step));
  flip_byte(store.folder_of(3) / "optimizer.safetensors", 100);
  fs::remove(store.folder_of(2) / "state.json");
  const auto found = store.newest_intact(note);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->folder, store.folder_of(1));
  EXPECT_EQ(found->checkpoint.progress.step, 1);
  ASSERT_EQ(reasons.size(), 2U);
  EXPECT_NE(reasons[0].find("step-3/optimizer.safetensors: damaged"), std::string::npos) << reasons[0];
  EXPECT_NE(reasons[1].find("step-2/state.json"), std::string::npos) << reasons[1];
  EXPECT_TRUE(fs::exists(folder.path() / "checkpoints/step-3.damaged"));
  EXPECT_NO_THROW(store.save(contents_at(3))) << "its place is free again";
  EXPECT_EQ(store.newest_intact(note)->folder, store.folder_of(3));
  fs::remove_all(store.folder_of(3));
  fs::remove(store.folder_of(1) / "trained.safetensors");
  EXPECT_THROW(store.newest_intact(note), FormatError) << "a run must not start over where its checkpoints are lost";
}

TEST(CheckpointSaver, WritesAsideAndReportsItsFaultsOnce) {
  const TemporaryFolder folder;
  for (const bool background : {true, false}) {
    const auto run = folder.path() / (background ? "background" : "foreground");
    CheckpointSaver saver(CheckpointStore(run), background);
    EXPECT_EQ(saver.last_seconds(), 0.0);
    saver.save([] { return contents_at(1); });
    saver.save([] { return contents_at(2); });
    EXPECT_TRUE(is_complete(saver.store().folder_of(1))) << "at most one save is in flight";
    saver.finish();
    EXPECT_TRUE(is_complete(saver.store().folder_of(2)));
    EXPECT_GT(saver.last_seconds(), 0.0);
    const auto again = [&] {
      saver.save([] { return contents_at(2); });
      saver.finish();
    };
    EXPECT_THROW(again(), IoError);
    EXPECT_NO_THROW(saver.finish());
    EXPECT_NO_THROW(saver.poll());
  }
}

}  // namespace
}  // namespace shine::test
