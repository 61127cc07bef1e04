#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "kernels/cuda/graphed_work.h"

namespace shine::test {

/// What a CUDA graph does, on the CPU. The first run notes every operation that the parts dispatch, forward and
/// backward, with its arguments and results; every run then does those operations again, on the same tensors and into
/// the same memory, and calls no part. Numbers that the host had at the capture stay what they were. An operation
/// that gives the host a tensor's value throws Error at the capture. Memory is not shared between the parts.
std::unique_ptr<GraphedWork> replay_on_cpu(std::vector<GraphedWork::Part> parts, c10::Device device);

}  // namespace shine::test
