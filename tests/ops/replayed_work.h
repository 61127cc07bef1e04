#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "kernels/cuda/graphed_work.h"

namespace shine::test {

/// Emulates a CUDA graph on the CPU. The first run captures every operation that the parts dispatch, forward and
/// backward, with its arguments and results; every run then replays them on the same tensors and into the same memory,
/// without calling a part. Host numbers stay as they were at the capture. An operation that reads a tensor's value to
/// the host throws Error at the capture. Memory is not shared between the parts.
std::unique_ptr<GraphedWork> replay_on_cpu(std::vector<GraphedWork::Part> parts, c10::Device device);

}  // namespace shine::test
