#include "checkpoint/convert_checkpoint.h"

#include <algorithm>

#include "checkpoint/checkpoint.h"
#include "checkpoint/published_checkpoint.h"
#include "checkpoint/published_layout.h"
#include "lora/parameter_names.h"
#include "shine/checkpoint/weights_source.h"
#include "shine/common/error.h"
#include "shine/common/version.h"

namespace shine {
namespace {

namespace fs = std::filesystem;

std::vector<std::pair<std::string, std::uintmax_t>> files_of(const fs::path& folder) {
  std::vector<std::pair<std::string, std::uintmax_t>> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    files.emplace_back(entry.path().filename().string(), entry.file_size());
  }
  std::sort(files.begin(), files.end());
  return files;
}

/// Names in a published folder that a conversion does not read, joined; empty where there are none.
std::string unread_files(const fs::path& folder) {
  std::string names;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    const bool read =
        name == "trainer_state.json" || std::any_of(std::begin(kPublishedNames), std::end(kPublishedNames),
                                                    [&](const PublishedName& known) { return name == known.file; });
    if (!read) names += (names.empty() ? "" : ", ") + name;
  }
  return names;
}

void to_ours(const WeightsSource& source, const fs::path& to, Conversion& conversion) {
  const RawTensorDict weights = read_weights(source);
  check_published_names(weights, source.folder.string());
  CheckpointContents contents;
  contents.weights.assign(weights.begin(), weights.end());
  conversion.step = contents.progress.step = read_published_step(source.folder);
  contents.made_by.program = "shine_convert " + version();
  contents.config_yaml =
      "# Converted from a checkpoint of the published implementation, which keeps no configuration.\n";
  save_checkpoint(to, contents);
  if (const std::string unread = unread_files(source.folder); !unread.empty()) {
    conversion.notes.push_back("not read: " + unread);
  }
}

void to_published(const WeightsSource& source, const fs::path& to, Conversion& conversion) {
  const RawTensorDict weights = read_weights(source);
  conversion.step = read_checkpoint_progress(source.folder).step;
  write_published_checkpoint(to, weights, conversion.step);
  conversion.notes.push_back(
      "left out, the published layout has no place for it: optimizer and random state, configuration, metrics");
  if (weights.contains(kNewTokenRowsName)) {
    conversion.notes.push_back(
        "new_token_rows.pt holds the embedding rows of added tokens: a file that the published code does not read");
  }
}

}  // namespace

Conversion convert_checkpoint(const fs::path& from, const fs::path& to, std::optional<CheckpointLayout> layout) {
  const WeightsSource source = find_weights(from, /*allow_unfinished=*/true);
  const CheckpointLayout other = source.published ? CheckpointLayout::ours : CheckpointLayout::published;
  if (layout && *layout != other) {
    throw ConfigError("the checkpoint is in that layout already", source.folder.string(), "ask for the other one");
  }
  if (fs::exists(fs::symlink_status(to))) {
    throw IoError("exists already", to.string(), "remove it or choose another name");
  }
  Conversion conversion;
  conversion.source = source.folder;
  conversion.layout = other;
  if (source.folder != from) conversion.notes.push_back(source.note);
  source.published ? to_ours(source, to, conversion) : to_published(source, to, conversion);
  conversion.files = files_of(to);
  return conversion;
}

}  // namespace shine
