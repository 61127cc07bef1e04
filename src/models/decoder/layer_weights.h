#pragma once

#include "shine/models/decoder/decoder.h"

namespace shine {

/// Calls `f` with every weight of a layer, undefined ones too, in a fixed order.
/// @param layer  a DecoderLayer, constant or not
template <class AnyLayer, class Function>
void for_each_weight(AnyLayer& layer, const Function& f) {
  for (auto* norm : {&layer.input_norm, &layer.post_attention_norm, &layer.q_norm, &layer.k_norm}) f(*norm);
  for (auto& linear : layer.projections) {
    f(linear.weight);
    f(linear.bias);
  }
}

}  // namespace shine
