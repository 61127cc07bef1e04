#pragma once

#include <ATen/core/Tensor.h>

#include "shine/tensor/raw_tensor.h"

namespace shine {

/// States of LibTorch's default generators, by device ("cpu", "cuda"). Nothing here draws from them; they are kept for
/// code that does.
NamedRawTensors random_states(at::Device device);

/// Sets the states of the generators that are there; those of absent devices are passed over.
void restore_random_states(const RawTensorDict& states, at::Device device);

}  // namespace shine
