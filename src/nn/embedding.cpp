#include "shine/nn/embedding.h"

#include <ATen/ATen.h>

namespace shine {

at::Tensor EmbeddingImpl::forward(const at::Tensor& ids) const {
  return at::embedding(weight, ids);
}

void EmbeddingImpl::pretty_print(std::ostream& stream) const {
  stream << "Embedding(" << rows << ", " << width << ")";
}

}  // namespace shine
