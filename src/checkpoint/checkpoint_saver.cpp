#include "checkpoint/checkpoint_saver.h"

#include <memory>

#include "common/format.h"
#include "common/timer.h"
#include "shine/common/logging.h"
#include "shine/common/str.h"

namespace shine {
CheckpointSaver::CheckpointSaver(CheckpointStore store, bool background)
    : store_(std::move(store)), background_(background) {}

void CheckpointSaver::save(const std::function<CheckpointContents()>& snapshot) {
  const Timer waiting;
  finish();
  waited_ = waiting.seconds();
  const Timer copying;
  const auto held = std::make_shared<const CheckpointContents>(snapshot());
  snapshot_ = copying.seconds();
  folder_ = store_.folder_of(held->progress.step).string();
  const auto write = [store = store_, held] {
    const Timer writing;
    store.save(*held);
    return writing.seconds();
  };
  writing_ = std::async(background_ ? std::launch::async : std::launch::deferred, write);
  if (!background_) finish();
}

void CheckpointSaver::poll() {
  if (writing_.valid() && writing_.wait_for(std::chrono::seconds(0)) == std::future_status::ready) finish();
}

void CheckpointSaver::finish() {
  if (!writing_.valid()) return;
  const double written = writing_.get();
  last_seconds_ = snapshot_ + written;
  log_info(str("saved ", folder_, ": snapshot ", format("%.3f s", snapshot_), " after waiting ",
               format("%.3f s", waited_), " for the save before, written in ", format("%.3f s", written),
               background_ ? " in the background" : ""));
}

}  // namespace shine
