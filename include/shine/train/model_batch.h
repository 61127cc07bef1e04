#pragma once

#include <limits>
#include <vector>

#include "shine/common/api.h"
#include "shine/data/sample.h"
#include "shine/tensor/token_rows.h"

namespace shine {

/// One or several micro-batches as the model takes them: B packed rows each, on its device.
struct ModelBatch {
  TokenRows contexts;       ///< what the LoRAs are generated from
  TokenRows conversations;  ///< what the backbone reads with them
  LabelledTokens labelled;  ///< positions in `conversations`

  std::int64_t samples() const { return conversations.layout.rows(); }
  /// Real tokens: contexts and conversations, no padding, no memory tokens.
  std::int64_t tokens() const { return contexts.layout.tokens() + conversations.layout.tokens(); }
};

/// Labels from `softmax_size` on are left out: tokens that the model reads but cannot produce.
SHINE_API ModelBatch make_model_batch(const std::vector<Sample>& samples, at::Device device,
                                      std::int64_t softmax_size = std::numeric_limits<std::int64_t>::max());

/// The samples of all `parts`, in order, as one batch; on their device, without a transfer.
SHINE_API ModelBatch merge_batches(const std::vector<ModelBatch>& parts);

}  // namespace shine
