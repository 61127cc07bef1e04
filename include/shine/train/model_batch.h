#pragma once

#include <limits>
#include <vector>

#include "shine/data/sample.h"
#include "shine/tensor/token_rows.h"

namespace shine {

/// A micro-batch as the model takes it: B rows each, packed, on its device.
struct ModelBatch {
  TokenRows contexts;       ///< what the LoRAs are generated from
  TokenRows conversations;  ///< what is answered with them
  LabelledTokens labelled;  ///< positions in `conversations`

  std::int64_t samples() const { return conversations.layout.rows(); }
  /// Real tokens: contexts and conversations, no padding, no memory tokens.
  std::int64_t tokens() const { return contexts.layout.tokens() + conversations.layout.tokens(); }
};

/// Labels from `softmax_size` on are left out: tokens that a model reads but cannot write.
ModelBatch make_model_batch(const std::vector<Sample>& samples, at::Device device,
                            std::int64_t softmax_size = std::numeric_limits<std::int64_t>::max());

}  // namespace shine
