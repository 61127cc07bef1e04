#pragma once

#include <functional>
#include <future>
#include <string>

#include "checkpoint/checkpoint_store.h"

namespace shine {

/// Saves checkpoints during training, at most one at a time.
class CheckpointSaver {
 public:
  /// @param background  write on another thread; snapshots must then be copies that do not change
  CheckpointSaver(CheckpointStore store, bool background);

  /// Waits for the save before, takes the snapshot and starts to write it. Throws what the save before threw.
  void save(const std::function<CheckpointContents()>& snapshot);

  /// Logs a save that has ended since the last call; throws what it threw.
  void poll();

  /// Waits for the save in flight.
  void finish();

  const CheckpointStore& store() const { return store_; }
  bool background() const { return background_; }

  /// Seconds the last complete save took, snapshot and writing together; 0 before the first.
  double last_seconds() const { return last_seconds_; }

 private:
  CheckpointStore store_;
  bool background_;
  std::future<double> writing_;  ///< seconds
  std::string folder_;           ///< of the save in flight
  double waited_ = 0.0, snapshot_ = 0.0, last_seconds_ = 0.0;
};

}  // namespace shine
