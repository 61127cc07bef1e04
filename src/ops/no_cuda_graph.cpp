#include "recorded_work.h"

namespace shine {

struct RecordedWork::Graphs {};

RecordedWork::RecordedWork(std::vector<Part> parts, c10::Device device, bool /*record*/)
    : parts_(std::move(parts)), device_(device), record_(false) {}

RecordedWork::~RecordedWork() = default;

void RecordedWork::run(std::size_t part) {
  parts_.at(part)();
}

}  // namespace shine
