#pragma once

#include "shine/distributed/process_group.h"

namespace shine::test {

/// Checks the contract of a group of any size on this rank, with tensors on `device`; throws std::runtime_error where
/// it is broken.
void check_collectives(ProcessGroup& group, at::Device device);
void check_texts(ProcessGroup& group);

}  // namespace shine::test
