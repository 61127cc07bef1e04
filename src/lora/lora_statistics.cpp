#include "lora/lora_statistics.h"

#include <ATen/ATen.h>

#include <cmath>

#include "shine/common/error.h"

namespace shine {
namespace {

at::Tensor wide(const at::Tensor& tensor) {
  return tensor.detach().to(at::kDouble);
}

}  // namespace

at::Tensor delta_inner_products(const LoraWeights& weights) {
  const std::int64_t adapters = weights.a.size(0), in = weights.a.size(1), rank = weights.a.size(2);
  const at::Tensor a = wide(weights.a).transpose(1, 2).reshape({adapters * rank, in});  // (B_l * r, in)
  const at::Tensor b = wide(weights.b).reshape({adapters * rank, weights.b.size(2)});   // (B_l * r, out)
  const at::Tensor products = a.mm(a.t()) * b.mm(b.t());                                // (B_l * r, B_l * r)
  return products.view({adapters, rank, adapters, rank}).sum({1, 3}).cpu();
}

at::Tensor delta_singular_values(const LoraWeights& weights) {
  const at::Tensor a = wide(weights.a).cpu(), b = wide(weights.b).cpu();
  const at::Tensor r_a = std::get<1>(at::linalg_qr(a));                  // (B_l, min(in, r), r)
  const at::Tensor r_b = std::get<1>(at::linalg_qr(b.transpose(1, 2)));  // (B_l, min(out, r), r)
  return at::linalg_svdvals(r_a.matmul(r_b.transpose(1, 2)));
}

double effective_rank(const at::Tensor& singular_values) {
  const at::Tensor values = wide(singular_values);
  const auto sum = values.sum().item<double>();
  if (sum == 0) return 0.0;
  const at::Tensor shares = values / sum;
  return std::exp(-at::xlogy(shares, shares).sum().item<double>());
}

Agreement agreement_of(const at::Tensor& inner_products) {
  const at::Tensor products = wide(inner_products);
  const auto count = static_cast<double>(products.size(0));
  const at::Tensor squares = products.diagonal(), norms = squares.sqrt();
  const at::Tensor cosines = products / norms.outer(norms);
  const auto pairs = count * (count - 1);  // each counted twice; 0 / 0 is NaN
  return {(cosines.sum() - cosines.trace()).item<double>() / pairs,
          (products.sum() / (count * squares.sum())).item<double>()};
}

LoraDiagnostics diagnose_loras(const LoraTree& loras, const at::Tensor& vectors, const at::Tensor& weight_norms) {
  const std::int64_t adapters = loras.adapters();
  const auto layers = static_cast<std::int64_t>(loras.layers.size());
  SHINE_CHECK(vectors.dim() == 2 && vectors.size(0) == adapters, ShapeError, "vectors ", vectors.sizes(),
              " do not belong to ", adapters, " LoRAs");
  SHINE_CHECK((weight_norms.sizes() == at::IntArrayRef{layers, static_cast<std::int64_t>(kProjections.size())}),
              ShapeError, "norms ", weight_norms.sizes(), " of weights do not fit LoRAs of ", layers, " layers");
  LoraDiagnostics result;
  result.contexts = adapters;
  at::Tensor total = at::zeros({adapters, adapters}, at::TensorOptions().dtype(at::kDouble));
  for (const Projection p : kProjections) {
    const auto column = static_cast<std::size_t>(p);
    std::vector<at::Tensor> norms;
    for (const LoraLayer& layer : loras.layers) {
      const at::Tensor products = delta_inner_products(layer[p]);
      total += products;
      norms.push_back(products.diagonal().clamp_min(0).sqrt());
    }
    const at::Tensor weights = wide(weight_norms).cpu().select(1, static_cast<std::int64_t>(column)).unsqueeze(1);
    const at::Tensor relative = at::stack(norms) / weights;  // (L, B)
    result.relative_norm[column] = relative.mean().item<double>();
    result.max_relative_norm[column] = relative.max().item<double>();
  }
  result.delta = agreement_of(total);
  const at::Tensor flat = wide(vectors);
  result.vector = agreement_of(flat.mm(flat.t()).cpu());
  return result;
}

}  // namespace shine
