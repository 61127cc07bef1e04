#include "checkpoint/published_checkpoint.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "checkpoint/published_layout.h"
#include "io/files/atomic_folder.h"
#include "io/files/text_file.h"
#include "io/json/json_file.h"
#include "io/torch_format/torch_pickle.h"
#include "io/torch_format/torch_writer.h"
#include "io/wrapped_names.h"
#include "shine/common/error.h"

namespace shine {
namespace {

namespace fs = std::filesystem;

constexpr const char* kStateFile = "trainer_state.json";

bool is_published(const fs::path& folder) {
  return fs::exists(folder / kM2pFile.file);
}

/// The number after the prefix, if the name is just that.
std::optional<std::int64_t> number_after(std::string_view prefix, std::string_view name) {
  std::int64_t number = 0;
  if (!name.starts_with(prefix)) return std::nullopt;
  const auto [end, error] = std::from_chars(name.data() + prefix.size(), name.data() + name.size(), number);
  if (error != std::errc() || end != name.data() + name.size() || number < 0) return std::nullopt;
  return number;
}

/// A training script's own dict around the state dict, with step numbers and the like beside it.
const PickleValue& unwrap(const PickleValue& saved) {
  const auto* dict = std::get_if<PickleDict>(&saved.value);
  if (dict == nullptr) return saved;
  for (const char* key : {"state_dict", "model_state_dict", "model"}) {
    const auto found = std::ranges::find(*dict, PickleKey(key), &PickleEntry::key);
    if (found != dict->end() && std::holds_alternative<PickleDict>(found->value.value)) return found->value;
  }
  return saved;
}

}  // namespace

RawTensorDict read_published_checkpoint(const fs::path& folder) {
  RawTensorDict tensors;
  for (const auto& [file, name, required] : kPublishedNames) {
    if (!required && !fs::exists(folder / file)) continue;
    const std::string where = (folder / file).string();
    const PickleValue saved = read_torch_file(where);
    for (auto& [stored, tensor] : flatten_tensors(unwrap(saved), where)) {
      const std::string inner = without_wrappers(stored);
      if (!tensors.emplace(inner.empty() ? name : str(name, ".", inner), std::move(tensor)).second) {
        throw FormatError(str("tensor ", inner, " is there twice, under two names"), where, "leave out one of them");
      }
    }
  }
  return tensors;
}

std::int64_t read_published_step(const fs::path& folder) {
  const std::string where = (folder / kStateFile).string();
  if (!fs::exists(where)) return 0;
  const std::int64_t step = get_int(read_json_file(where), "global_step", where);
  SHINE_CHECK(step >= 0, FormatError, where, ": \"global_step\" is ", step, ", expected 0 or more");
  return step;
}

void check_published_names(const RawTensorDict& weights, const std::string& where) {
  published_files(weights, where);
}

void write_published_checkpoint(const fs::path& folder, const RawTensorDict& weights, std::int64_t step) {
  const std::vector<PublishedFile> files = published_files(weights, folder.string());
  FolderWriter writer(folder, FolderMark::none);
  for (const PublishedFile& file : files) write_torch_file(writer.path() / file.name, file.value);
  write_file_atomically(writer.path() / kStateFile, nlohmann::json{{"global_step", step}}.dump(2));
  writer.commit();
}

std::optional<fs::path> find_published_checkpoint(const fs::path& path) {
  if (is_published(path)) return path;
  if (is_published(path / "final")) return path / "final";
  std::optional<fs::path> best;
  std::pair<bool, std::int64_t> best_rank;  // an epoch counts more than a step
  std::error_code absent;
  for (const fs::directory_entry& entry : fs::directory_iterator(path, absent)) {
    const std::string name = entry.path().filename().string();
    const auto epoch = number_after("checkpoint-epoch-", name), step = number_after("checkpoint-", name);
    if ((!epoch && !step) || !is_published(entry.path())) continue;
    const std::pair rank{epoch.has_value(), epoch ? *epoch : *step};
    if (!best || rank > best_rank) std::tie(best, best_rank) = std::pair{entry.path(), rank};
  }
  return best;
}

}  // namespace shine
