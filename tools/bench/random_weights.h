#pragma once

#include <cstdint>

#include "shine/hypernetwork/hypernetwork.h"

namespace shine::bench {

/// Random weights with the scales of initialise_decoder and Hypernetwork::initialise, drawn on their device: seconds
/// instead of minutes for large models, and no copy in the memory of the CPU. Not the same on every device.
void draw_on_device(Decoder& decoder, double gain, std::uint64_t seed);
void draw_on_device(Hypernetwork& hypernetwork);

}  // namespace shine::bench
