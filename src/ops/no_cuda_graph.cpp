#include "recorded_work.h"

namespace shine {

struct RecordedWork::Graph {};

RecordedWork::RecordedWork(std::function<void()> work, c10::Device device, bool record)
    : work_(std::move(work)), device_(device), record_(record && device.is_cuda()) {}

RecordedWork::~RecordedWork() = default;

void RecordedWork::run() {
  work_();
}

}  // namespace shine
