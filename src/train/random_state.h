#pragma once

#include <ATen/core/Tensor.h>

#include "shine/distributed/process_group.h"
#include "shine/tensor/raw_tensor.h"

namespace shine {

/// States of LibTorch's default generators, by device: "cpu", "cuda", those of later ranks "rank1.cpu" and so on. This
/// project does not draw from them; they are saved for code that does. Every rank calls; the first gets all.
NamedRawTensors random_states(ProcessGroup& ranks, at::Device device);

/// Restores the given states; generators of other devices and ranks stay as they are. Every rank calls; the first
/// rank's `states` count.
void restore_random_states(ProcessGroup& ranks, const RawTensorDict& states, at::Device device);

}  // namespace shine
