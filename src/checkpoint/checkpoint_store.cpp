#include "checkpoint/checkpoint_store.h"

#include <charconv>
#include <map>

#include "io/files/atomic_folder.h"
#include "shine/common/error.h"

namespace shine {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "step-";

std::optional<std::int64_t> step_of(const fs::path& folder) {
  const std::string name = folder.filename().string();
  if (!name.starts_with(kPrefix)) return std::nullopt;
  std::int64_t step = 0;
  const char* const last = name.data() + name.size();
  const auto [end, error] = std::from_chars(name.data() + kPrefix.size(), last, step);
  if (error != std::errc() || end != last) return std::nullopt;
  return step;
}

void set_aside(const fs::path& folder) {
  fs::path aside = folder;
  aside += ".damaged";
  remove_folder(aside);
  std::error_code fault;
  fs::rename(folder, aside, fault);
  if (fault) throw IoError("cannot rename: " + fault.message(), folder.string());
}

}  // namespace

CheckpointStore::CheckpointStore(fs::path run_folder, KeepRules keep)
    : folder_(std::move(run_folder) / "checkpoints"), keep_(keep) {}

fs::path CheckpointStore::folder_of(std::int64_t step) const {
  return folder_ / str(kPrefix, step);
}

std::vector<fs::path> CheckpointStore::complete() const {
  std::map<std::int64_t, fs::path, std::greater<>> found;
  // A folder that cannot be listed (a disk not mounted) is not a folder without checkpoints.
  if (fs::symlink_status(folder_).type() == fs::file_type::not_found) return {};
  std::error_code fault;
  for (fs::directory_iterator entry(folder_, fault), end; !fault && entry != end; entry.increment(fault)) {
    const auto step = step_of(entry->path());
    if (step && is_complete(entry->path())) found.emplace(*step, entry->path());
  }
  if (fault) throw IoError("cannot list the checkpoints: " + fault.message(), folder_.string());
  std::vector<fs::path> folders;
  for (auto& [step, path] : found) folders.push_back(path);
  return folders;
}

std::optional<CheckpointStore::Found> CheckpointStore::newest_intact(
    const std::function<void(const std::string&)>& on_damage) const {
  const std::vector<fs::path> folders = complete();
  std::vector<fs::path> damaged;
  for (const fs::path& folder : folders) {
    try {
      Found found{folder, read_checkpoint(folder)};
      for (const fs::path& other : damaged) set_aside(other);
      return found;
    } catch (const FormatError& damage) {
      on_damage(damage.what());
    }
    damaged.push_back(folder);
  }
  if (folders.empty()) return std::nullopt;
  throw FormatError(str("none of the ", folders.size(), " checkpoints is intact"), folder_.string(),
                    "restore one, or use a new run.dir");
}

void CheckpointStore::save(const CheckpointContents& contents) const {
  const fs::path folder = folder_of(contents.progress.step);
  remove_partial_entries(folder_);
  if (!is_complete(folder)) remove_folder(folder);
  save_checkpoint(folder, contents);
  const std::vector<fs::path> folders = complete();
  for (std::size_t i = static_cast<std::size_t>(keep_.last); i < folders.size(); ++i) {
    if (keep_.every == 0 || *step_of(folders[i]) % keep_.every != 0) remove_folder(folders[i]);
  }
}

}  // namespace shine
