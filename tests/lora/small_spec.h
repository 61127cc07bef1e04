#pragma once

#include "shine/lora/lora_spec.h"

namespace shine::test {

/// Two layers with seven different sizes, biases on q and v where asked.
inline LoraSpec small_spec(bool biases) {
  LoraSpec spec;
  spec.layers = 2;
  spec.projections = {{{3, 4, biases}, {3, 2}, {3, 2, biases}, {4, 3}, {3, 5}, {3, 5}, {5, 3}}};
  return spec;
}

}  // namespace shine::test
