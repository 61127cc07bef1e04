#pragma once

#include <vector>

#include "shine/config/hypernetwork_config.h"
#include "shine/lora/lora_spec.h"

namespace shine {

/// One tensor of a layer's LoRA inside the layer's part of the generated vector.
struct LoraSlice {
  enum class Part { a, b, c };

  Projection projection = Projection::q;
  Part part = Part::a;
  std::int64_t start = 0;              ///< in the layer's part
  std::int64_t rows = 0, columns = 0;  ///< of the tensor: A (in, r), B (r, out); C is one row of `out` values
  bool transposed = false;             ///< the vector holds it column after column
  double factor = 1.0;                 ///< the tensor is the vector's values times it

  std::int64_t numel() const { return rows * columns; }
};

/// The slices of one layer, contiguous from 0 on: q, k, v, o, gate, up, down, each as A, B and, where the projection
/// has a bias, C. The reshape of the generated vector (paper section 3.3 and appendix E) is decoded only here; it
/// never changes how many values a slice has.
/// @param scale  A and B are multiplied by sqrt(scale), C by scale
std::vector<LoraSlice> lora_slices(const LoraSpec& spec, std::int64_t rank, LoraReshape reshape, double scale);

}  // namespace shine
