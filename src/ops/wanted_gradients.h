#pragma once

namespace shine {

/// Of a sub-layer, or a group of adapted maps: which gradients are asked for.
struct WantedGradients {
  bool x = true;
  bool lora = true;  ///< of any LoRA
};

}  // namespace shine
