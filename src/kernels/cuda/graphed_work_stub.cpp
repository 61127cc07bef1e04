#include "kernels/cuda/graphed_work.h"

namespace shine {

struct GraphedWork::Graphs {};

GraphedWork::GraphedWork(std::vector<Part> parts, c10::Device device, bool /*capture*/)
    : parts_(std::move(parts)), device_(device), capture_(false) {}

GraphedWork::~GraphedWork() = default;

void GraphedWork::run(std::size_t part) {
  parts_.at(part)();
}

}  // namespace shine
