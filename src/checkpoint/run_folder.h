#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "shine/common/api.h"

namespace shine {

/// Names inside a run's folder.
struct RunFolder {
  std::filesystem::path root;

  std::filesystem::path config() const { return root / "config.yaml"; }
  /// Of each rank; the first one's is the run's.
  std::filesystem::path log(int rank = 0) const {
    return root / (rank == 0 ? "log.txt" : "log-rank" + std::to_string(rank) + ".txt");
  }
  std::filesystem::path metrics() const { return root / "metrics.jsonl"; }
  std::filesystem::path tensorboard() const { return root / "tensorboard"; }
  std::filesystem::path model() const { return root / "model"; }
  std::filesystem::path finished() const { return root / "FINISHED"; }
  std::filesystem::path lock() const { return root / "lock"; }
};

/// What the file FINISHED says: the run came to the end its configuration asks for.
struct FinishedMark {
  std::int64_t step = 0;         ///< of the last checkpoint
  std::int64_t total_steps = 0;  ///< of the schedule; above `step` where run.max_steps ended the run

  bool operator==(const FinishedMark&) const = default;
};

SHINE_API void write_finished_mark(const RunFolder& run, const FinishedMark& mark);

/// Throws FormatError for a mark that cannot be read.
SHINE_API std::optional<FinishedMark> read_finished_mark(const RunFolder& run);

/// Before a finished run is trained further.
SHINE_API void remove_finished_mark(const RunFolder& run);

/// Held while a process works in the folder. The system releases it however the process ends.
class SHINE_API RunLock {
 public:
  /// Throws IoError where another process holds it, or the folder cannot be written.
  /// @param key, fault  what names the folder, and what is wrong where it is held, for the message
  explicit RunLock(const RunFolder& run, std::string_view key = "run.dir",
                   std::string_view fault = "another process trains in this folder");
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

 private:
  int file_ = -1;
};

}  // namespace shine
