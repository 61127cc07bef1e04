#include "optim/rank_check.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "shine/common/error.h"
#include "shine/common/str.h"

namespace shine {
namespace {

/// Bytes that are widened at a time.
constexpr std::int64_t kChunk = std::int64_t{1} << 22;

}  // namespace

std::array<std::int64_t, 2> bit_sums(const at::Tensor& tensor) {
  const at::NoGradGuard no_grad;
  const at::Tensor bytes = tensor.detach().contiguous().view({-1}).view(at::kByte);
  const bool words = bytes.numel() % 4 == 0;
  const at::Tensor bits = words ? bytes.view(at::kInt) : bytes;
  const at::Tensor sums = at::zeros({2}, bits.options().dtype(at::kLong));
  for (std::int64_t begin = 0; begin < bits.numel(); begin += kChunk / 4) {
    const std::int64_t count = std::min(kChunk / 4, bits.numel() - begin);
    const at::Tensor chunk = bits.narrow(0, begin, count).to(at::kLong);
    const at::Tensor weights = at::arange(begin + 1, begin + 1 + count, chunk.options());
    sums.add_(at::stack({chunk.sum(), (chunk * weights).sum()}));
  }
  const at::Tensor held = sums.to(at::kCPU);
  return {held[0].item<std::int64_t>(), held[1].item<std::int64_t>()};
}

void require_equal_tensors(ProcessGroup& ranks, const std::vector<NamedTensor>& tensors, const std::string& when) {
  if (ranks.size() == 1 || tensors.empty()) return;
  const auto count = static_cast<std::int64_t>(tensors.size());
  const at::Tensor mine = at::zeros({count, 2}, at::kLong);
  for (std::int64_t i = 0; i < count; ++i) {
    const auto sums = bit_sums(tensors[static_cast<std::size_t>(i)].tensor);
    mine[i][0] = sums[0];
    mine[i][1] = sums[1];
  }
  const at::Tensor all = at::zeros({ranks.size(), count, 2}, at::kLong);
  ranks.all_gather(all, mine);
  const at::Tensor differs = all.ne(all[0]).any(2);  // (ranks, tensors)
  for (std::int64_t i = 0; i < count; ++i) {
    std::vector<std::string> others;
    for (std::int64_t rank = 1; rank < ranks.size(); ++rank) {
      if (differs[rank][i].item<bool>()) others.push_back(std::to_string(rank));
    }
    if (others.empty()) continue;
    throw DivergenceError(str("differs from rank 0's on rank ", join(others, ", "), " ", when),
                          tensors[static_cast<std::size_t>(i)].name,
                          "the ranks no longer train the same model: check that all run the same program on the same "
                          "kind of device, and resume from the last checkpoint");
  }
}

}  // namespace shine
