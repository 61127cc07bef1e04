#pragma once

#include "shine/common/api.h"
#include "shine/nn/module.h"

namespace shine {

/// One row per token id. Its matrix is not decayed (Decay::never).
class SHINE_API EmbeddingImpl : public Module<EmbeddingImpl> {
 public:
  EmbeddingImpl(std::int64_t row_count, std::int64_t row_width) : rows(row_count), width(row_width) { reset(); }
  void reset() override { weight = declare("weight", {rows, width}, Decay::never); }

  /// ids (..), int64, below `rows` -> (.., width)
  at::Tensor forward(const at::Tensor& ids) const;

  void pretty_print(std::ostream& stream) const override;

  std::int64_t rows, width;
  at::Tensor weight;  ///< (rows, width)
};
TORCH_MODULE(Embedding);

}  // namespace shine
