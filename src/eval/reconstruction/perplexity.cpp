#include "eval/reconstruction/perplexity.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>

namespace shine {

std::vector<SampleLoss> sample_losses(const Decoder& decoder, const LoraTree* lora, const ModelBatch& batch) {
  const at::NoGradGuard no_grad;
  std::vector<SampleLoss> rows(static_cast<std::size_t>(batch.samples()));
  if (batch.labelled.count() > 0) {
    const at::Tensor hidden = decoder.forward(batch.conversations, lora);                                     // (N, H)
    const at::Tensor losses = decoder.losses(hidden, batch.labelled).to(at::kCPU, at::kDouble).contiguous();  // (n)
    const at::Tensor positions = batch.labelled.positions.to(at::kCPU).contiguous();  // (n), ascending
    std::size_t row = 0;
    for (std::int64_t i = 0; i < losses.size(0); ++i) {
      while (positions.const_data_ptr<std::int64_t>()[i] >= batch.conversations.layout.starts[row + 1]) ++row;
      rows[row].loss += losses.const_data_ptr<double>()[i];
      ++rows[row].tokens;
    }
  }
  for (SampleLoss& row : rows) {
    row.loss /= static_cast<double>(row.tokens);
    if (!std::isfinite(row.loss)) row.loss = std::numeric_limits<double>::quiet_NaN();
  }
  return rows;
}

}  // namespace shine
