#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "shine/ops/decoder_sublayers.h"

namespace shine {

/// Of a sub-layer, or a group of adapted maps: which gradients are asked for.
struct WantedGradients {
  bool x = true;
  bool lora = true;  ///< of any LoRA
};

/// What was asked for.
struct SublayerGradients {
  at::Tensor x;                    ///< undefined where it was not wanted
  std::vector<SublayerLora> lora;  ///< of each projection, of A's type, C undefined where it has none; empty without a
                                   ///< LoRA and where none was wanted
};

/// The LoRAs of `count` projections from `first` on; none of none.
inline std::span<const SublayerLora> some_of(std::span<const SublayerLora> lora, std::size_t first, std::size_t count) {
  return lora.empty() ? lora : lora.subspan(first, count);
}

}  // namespace shine
