#include "adapter/reduce_rank.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "common/format.h"
#include "common/hash.h"
#include "shine/common/error.h"

namespace shine {
namespace {

/// Sums of squared singular values.
struct Energy {
  double discarded = 0.0, all = 0.0;

  double share() const { return all > 0 ? discarded / all : 0.0; }
};

/// A (in, n) with zero columns up to (in, rank).
at::Tensor widen(const at::Tensor& matrix, std::int64_t rank) {
  const at::Tensor wide = at::zeros({matrix.size(0), rank}, matrix.options());
  wide.narrow(1, 0, matrix.size(1)).copy_(matrix);
  return wide;
}

/// The pair of rank `rank` nearest to A B. With A = Q_A R_A and B^T = Q_B R_B, the singular values of A B are those of
/// the small R_A R_B^T = U S V^T, and its vectors Q_A U and Q_B V.
Energy reduce(LoraWeights& weights, std::int64_t rank) {
  const at::Tensor a = weights.a[0].to(at::kDouble), b = weights.b[0].to(at::kDouble);
  const auto [q_a, r_a] = at::linalg_qr(a);      // (in, min(in, r)), (min(in, r), r)
  const auto [q_b, r_b] = at::linalg_qr(b.t());  // (out, min(out, r)), (min(out, r), r)
  const auto [u, s, vh] = at::linalg_svd(r_a.mm(r_b.t()), /*full_matrices=*/false);
  const std::int64_t kept = std::min(rank, s.size(0));
  const at::Tensor root = s.narrow(0, 0, kept).sqrt();
  const at::Tensor left = q_a.mm(u.narrow(1, 0, kept)) * root;                  // (in, kept)
  const at::Tensor right = q_b.mm(vh.narrow(0, 0, kept).t()) * root;            // (out, kept)
  weights.a = widen(left, rank).to(at::kFloat).unsqueeze(0);                    // (1, in, rank)
  weights.b = widen(right, rank).t().contiguous().to(at::kFloat).unsqueeze(0);  // (1, rank, out)
  const at::Tensor squares = s.square();
  return {squares.narrow(0, kept, s.size(0) - kept).sum().item<double>(), squares.sum().item<double>()};
}

}  // namespace

std::string reduced_identity(const std::string& identity, std::int64_t rank) {
  return identity.empty() ? identity : hex_digits(Fnv1a().add_bytes(identity).add_bytes("rank").add(rank).value());
}

ReducedAdapter reduce_rank(const Adapter& adapter, std::int64_t rank) {
  SHINE_CHECK(rank >= 1, ConfigError, "a rank of ", rank, ": at least 1 is needed");
  ReducedAdapter result{adapter, std::vector<std::array<double, 7>>(adapter.tree.layers.size()), 0.0};
  if (adapter.tree.rank() <= rank) return result;
  Energy of_all;
  for (std::size_t layer = 0; layer < adapter.tree.layers.size(); ++layer) {
    for (const Projection p : kProjections) {
      const Energy energy = reduce(result.adapter.tree.layers[layer][p], rank);
      result.discarded[layer][static_cast<std::size_t>(p)] = energy.share();
      of_all.discarded += energy.discarded;
      of_all.all += energy.all;
    }
  }
  result.discarded_of_all = of_all.share();
  result.adapter.metadata.identity = reduced_identity(adapter.metadata.identity, rank);
  return result;
}

std::string reduction_text(const ReducedAdapter& reduced) {
  std::string text = format("share of the squared singular values that is left out: %.3g", reduced.discarded_of_all);
  for (const Projection p : kProjections) {
    double sum = 0.0, worst = 0.0;
    for (const auto& layer : reduced.discarded) {
      const double share = layer[static_cast<std::size_t>(p)];
      sum += share;
      worst = std::max(worst, share);
    }
    text += str("\n", format("  %-4s", std::string(name_of(p)).c_str()),
                format("  mean %.3g, worst layer %.3g", sum / static_cast<double>(reduced.discarded.size()), worst));
  }
  return text;
}

}  // namespace shine
