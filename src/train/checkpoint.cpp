#include "shine/train/checkpoint.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "shine/common/error.h"
#include "shine/common/version.h"
#include "shine/io/atomic_folder.h"
#include "shine/io/json_file.h"
#include "shine/io/safetensors.h"
#include "shine/io/text_file.h"

namespace shine {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kFormatVersion = 1;
constexpr const char* kWeightsFile = "trained.safetensors";
constexpr const char* kMomentsFile = "optimizer.safetensors";
constexpr const char* kStateFile = "state.json";

void write_tensors(const std::filesystem::path& path, const std::vector<std::pair<std::string, at::Tensor>>& tensors) {
  std::vector<std::pair<std::string, RawTensor>> raw;
  for (const auto& [name, tensor] : tensors) raw.emplace_back(name, to_raw(tensor));
  write_safetensors(path, raw, {{"format", "pt"}});
}

std::string state_text(const TrainProgress& progress) {
  const Json state{{"format_version", kFormatVersion},
                   {"program", version()},
                   {"step", progress.step},
                   {"optimizer_steps", progress.optimizer_steps},
                   {"sampler",
                    {{"epoch", progress.sampler.epoch},
                     {"next", progress.sampler.next},
                     {"samples", progress.sampler.samples},
                     {"seed", progress.sampler.seed}}},
                   {"tokens", progress.tokens},
                   {"labels", progress.labels},
                   {"dropped_micro_batches", progress.dropped},
                   {"skipped_steps", progress.skipped},
                   {"context_tokens_cut", progress.context_tokens_cut},
                   {"conversation_tokens_cut", progress.conversation_tokens_cut},
                   {"data_fingerprint", std::to_string(progress.data_fingerprint)},
                   {"seconds", progress.seconds}};
  return state.dump(2) + "\n";
}

void check_complete(const std::filesystem::path& folder) {
  SHINE_CHECK(std::filesystem::is_directory(folder), IoError, folder.string(), ": no such checkpoint folder");
  SHINE_CHECK(is_complete(folder), FormatError, folder.string(),
              ": the checkpoint is incomplete, it has no mark DONE (use an earlier one)");
}

RawTensorDict read_tensors(const std::filesystem::path& path) {
  const SafetensorsFile file(path);
  RawTensorDict tensors;
  for (const std::string& name : file.names()) tensors.emplace(name, file.tensor(name));
  return tensors;
}

std::size_t get_size(const nlohmann::json& object, const char* key, const std::string& where) {
  const std::int64_t value = get_int(object, key, where);
  SHINE_CHECK(value >= 0, FormatError, where, ": `", key, "` is ", value, ", expected 0 or more");
  return static_cast<std::size_t>(value);
}

/// 64 bits do not fit a JSON number everywhere: the file holds them as text.
std::uint64_t get_fingerprint(const nlohmann::json& state, const std::string& where) {
  const std::string& text = get_string(state, "data_fingerprint", where);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  SHINE_CHECK(error == std::errc() && end == text.data() + text.size(), FormatError, where,
              ": `data_fingerprint` is no number");
  return value;
}

/// What a killed save left behind.
void remove_partial_folders(const std::filesystem::path& folder) {
  if (!std::filesystem::is_directory(folder)) return;
  std::vector<std::filesystem::path> partial;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().filename().string().find(".partial-") != std::string::npos) partial.push_back(entry.path());
  }
  for (const auto& path : partial) remove_folder(path);
}

}  // namespace

void save_checkpoint(const std::filesystem::path& folder, const CheckpointContents& contents) {
  FolderWriter writer(folder);
  write_tensors(writer.path() / kWeightsFile, contents.weights);
  write_tensors(writer.path() / kMomentsFile, contents.moments);
  write_file_atomically(writer.path() / kStateFile, state_text(contents.progress));
  write_file_atomically(writer.path() / "config.yaml", contents.config_yaml);
  writer.commit();
}

RawTensorDict read_checkpoint_weights(const std::filesystem::path& folder) {
  check_complete(folder);
  return read_tensors(folder / kWeightsFile);
}

std::map<std::string, at::Tensor> read_checkpoint_moments(const std::filesystem::path& folder) {
  check_complete(folder);
  std::map<std::string, at::Tensor> moments;
  for (const auto& [name, raw] : read_tensors(folder / kMomentsFile)) moments.emplace(name, to_tensor(raw));
  return moments;
}

TrainProgress read_checkpoint_progress(const std::filesystem::path& folder) {
  check_complete(folder);
  const std::string where = (folder / kStateFile).string();
  const nlohmann::json state = read_json_file(where);
  const std::int64_t format = get_int(state, "format_version", where);
  SHINE_CHECK(format == kFormatVersion, FormatError, where, ": checkpoint format ", format, ", this program reads ",
              kFormatVersion);
  const nlohmann::json& sampler = get_object(state, "sampler", where);
  TrainProgress progress;
  progress.step = get_int(state, "step", where);
  progress.optimizer_steps = get_int(state, "optimizer_steps", where);
  progress.sampler = {get_int(sampler, "epoch", where), get_size(sampler, "next", where),
                      get_size(sampler, "samples", where), get_size(sampler, "seed", where)};
  progress.tokens = get_int(state, "tokens", where);
  progress.labels = get_int(state, "labels", where);
  progress.dropped = get_int(state, "dropped_micro_batches", where);
  progress.skipped = get_int(state, "skipped_steps", where);
  progress.context_tokens_cut = get_int(state, "context_tokens_cut", where);
  progress.conversation_tokens_cut = get_int(state, "conversation_tokens_cut", where);
  progress.data_fingerprint = get_fingerprint(state, where);
  progress.seconds = get_double(state, "seconds", where);
  return progress;
}

CheckpointStore::CheckpointStore(std::filesystem::path run_folder, std::int64_t keep_last)
    : folder_(std::move(run_folder) / "checkpoints"), keep_last_(keep_last) {}

std::filesystem::path CheckpointStore::folder_of(std::int64_t step) const {
  return folder_ / str("step-", step);
}

std::vector<std::filesystem::path> CheckpointStore::complete_ascending() const {
  std::map<std::int64_t, std::filesystem::path> found;
  if (!std::filesystem::is_directory(folder_)) return {};
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    const std::string name = entry.path().filename().string();
    std::int64_t step = 0;
    if (!name.starts_with("step-")) continue;
    const auto [end, error] = std::from_chars(name.data() + 5, name.data() + name.size(), step);
    if (error == std::errc() && end == name.data() + name.size() && is_complete(entry.path())) {
      found.emplace(step, entry.path());
    }
  }
  std::vector<std::filesystem::path> folders;
  for (auto& [step, path] : found) folders.push_back(path);
  return folders;
}

std::optional<std::filesystem::path> CheckpointStore::newest() const {
  const auto folders = complete_ascending();
  if (folders.empty()) return std::nullopt;
  return folders.back();
}

void CheckpointStore::save(const CheckpointContents& contents) const {
  const auto folder = folder_of(contents.progress.step);
  remove_partial_folders(folder_);
  if (!is_complete(folder)) remove_folder(folder);
  save_checkpoint(folder, contents);
  const auto folders = complete_ascending();
  const auto keep = static_cast<std::size_t>(keep_last_);
  for (std::size_t i = 0; i + keep < folders.size(); ++i) remove_folder(folders[i]);
}

}  // namespace shine
