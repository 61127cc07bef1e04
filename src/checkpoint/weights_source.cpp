#include "shine/checkpoint/weights_source.h"

#include "checkpoint/checkpoint_store.h"
#include "checkpoint/published_checkpoint.h"
#include "checkpoint/run_folder.h"
#include "io/files/atomic_folder.h"
#include "shine/common/error.h"

namespace shine {
namespace {

namespace fs = std::filesystem;

/// The checkpoint named by a finished run's mark, else the newest complete one.
WeightsSource of_run(const RunFolder& run, bool allow_unfinished) {
  const CheckpointStore store(run.root);
  const std::optional<FinishedMark> mark = read_finished_mark(run);
  if (mark) {
    const fs::path folder = store.folder_of(mark->step);
    std::string note = str(run.root.string(), " is finished, its checkpoint is ", folder.filename().string());
    if (mark->step < mark->total_steps) {
      note += str(" (run.max_steps ended it: its schedule has ", mark->total_steps, " steps)");
    }
    return {folder, false, std::move(note)};
  }
  const std::vector<fs::path> folders = store.complete();
  if (folders.empty()) throw FormatError("the run has no complete checkpoint", run.root.string(), "run it first");
  if (!allow_unfinished) {
    throw ConfigError(str("the run is not finished, its newest checkpoint is ", folders.front().filename().string()),
                      run.root.string(), "let it finish, name a checkpoint, or set stage.allow_unfinished=true");
  }
  return {folders.front(), false, str(run.root.string(), " is NOT finished, ", folders.front().string(), " is taken")};
}

}  // namespace

WeightsSource find_weights(const fs::path& path, bool allow_unfinished) {
  if (!fs::exists(path)) throw IoError("no such folder", path.string(), "correct the path");
  if (fs::exists(path / "trained.safetensors")) return {path, false, path.string()};
  const RunFolder run{path};
  if (fs::is_directory(path / "checkpoints")) return of_run(run, allow_unfinished);
  if (const auto published = find_published_checkpoint(path)) {
    return {*published, true, str(published->string(), ", published layout")};
  }
  if (fs::exists(run.config())) return of_run(run, allow_unfinished);
  throw FormatError("neither a checkpoint, nor a run's folder, nor a checkpoint in the published layout", path.string(),
                    "name a folder with trained.safetensors, checkpoints/, metanetwork.pth or final/");
}

RawTensorDict read_weights(const WeightsSource& source) {
  return source.published ? read_published_checkpoint(source.folder) : read_checkpoint_weights(source.folder);
}

}  // namespace shine
