#include "kernels/torch/adapted_group.h"

#include <ATen/ATen.h>

namespace shine::torch_kernels {
namespace {

std::optional<at::Tensor> if_defined(const at::Tensor& tensor) {
  return tensor.defined() ? std::optional(tensor) : std::nullopt;
}

at::Tensor side_by_side(const at::Tensor& a) {  // (B_l, in, r) -> (1, in, B_l r)
  return a.permute({1, 0, 2}).reshape({1, a.size(1), -1});
}

at::Tensor each_alone(const at::Tensor& a, std::int64_t adapters) {  // and back
  return a.view({a.size(1), adapters, -1}).permute({1, 0, 2});
}

/// Zeroes the (finite) values that belong to other adapters. x (N, B_l k), mask (N, B_l).
void mask_others(const at::Tensor& x, const at::Tensor& mask) {
  x.unflatten(1, {mask.size(1), -1}).mul_(mask.unsqueeze(2));
}

/// f(group, start, length) for every group that has tokens.
template <class F>
void for_groups(const TokenAdapters& adapters, std::int64_t tokens, const F& f) {
  if (adapters.mask.defined()) {
    if (tokens > 0) f(0, std::int64_t{0}, tokens);
    return;
  }
  const std::vector<std::int64_t>& spans = adapters.spans;
  for (std::size_t i = 0; i + 1 < spans.size(); ++i) {
    if (spans[i + 1] > spans[i]) f(static_cast<std::int64_t>(i), spans[i], spans[i + 1] - spans[i]);
  }
}

/// Sums over tokens are not rounded to bfloat16 where a product can give float32.
at::Tensor sum_over_tokens(const at::Tensor& left, const at::Tensor& right) {  // (N, m), (N, n) -> (m, n)
  const bool narrow = left.scalar_type() == at::kBFloat16;
  return narrow && left.is_cuda() ? at::mm(left.t(), right, at::kFloat) : left.t().mm(right);
}

}  // namespace

AdaptedGroup::AdaptedGroup(std::span<const PreparedLinear> maps, std::span<const LoraWeights> lora, at::ScalarType type,
                           bool masked)
    : maps_(maps), masked_(masked) {
  if (lora.empty()) return;
  adapters_ = lora.front().a.size(0);
  lora_type_ = lora.front().a.scalar_type();
  std::vector<at::Tensor> parts;
  std::int64_t column = 0;
  for (const LoraWeights& each : lora) {
    const at::Tensor a = each.a.to(type), b = each.b.to(type);
    parts.push_back(masked ? side_by_side(a) : a);
    b_.push_back(masked ? b.reshape({1, -1, b.size(2)}) : b);
    c_.push_back(each.c.defined() ? each.c.to(type) : each.c);
    first_columns_.push_back(column);
    column += parts.back().size(2);
  }
  a_ = at::cat(parts, 2);
}

at::Tensor AdaptedGroup::columns(const at::Tensor& all, std::size_t map) const {
  return all.narrow(-1, first_columns_[map], b_[map].size(1));
}

at::Tensor AdaptedGroup::reduce(const at::Tensor& x, const TokenAdapters& adapters) const {
  if (!a_.defined()) return {};
  const at::Tensor reduced = at::empty({x.size(0), a_.size(2)}, x.options());  // (N, K)
  for_groups(adapters, x.size(0), [&](std::int64_t group, std::int64_t start, std::int64_t length) {
    at::Tensor part = reduced.narrow(0, start, length);
    at::mm_out(part, x.narrow(0, start, length), a_[group]);
  });
  for (std::size_t m = 0; masked_ && m < b_.size(); ++m) mask_others(columns(reduced, m), adapters.mask);
  return reduced;
}

at::Tensor AdaptedGroup::apply(std::size_t map, const at::Tensor& x, const at::Tensor& reduced,
                               const TokenAdapters& adapters, const at::Tensor& residual) const {
  const PreparedLinear& linear = maps_[map];
  at::Tensor y;
  if (residual.defined()) {
    y = residual.addmm(x, linear.forward.t());
    if (linear.bias.defined()) y.add_(linear.bias);
  } else {
    y = at::linear(x, linear.forward, if_defined(linear.bias));
  }
  if (!a_.defined()) return y;
  const at::Tensor mine = columns(reduced, map);
  for_groups(adapters, x.size(0), [&](std::int64_t group, std::int64_t start, std::int64_t length) {
    at::Tensor part = y.narrow(0, start, length);
    part.addmm_(mine.narrow(0, start, length), b_[map][group]);
    if (c_[map].defined() && !masked_) part.add_(c_[map][group]);
  });
  if (c_[map].defined() && masked_) y.addmm_(adapters.mask, c_[map]);
  return y;
}

/// The sums over each group's tokens, (groups, m, n).
at::Tensor AdaptedGroup::sums_of_groups(const at::Tensor& left, const at::Tensor& right,
                                        const TokenAdapters& adapters) const {
  const std::int64_t groups = a_.size(0);
  if (groups == 1) return sum_over_tokens(left, right).to(lora_type_).unsqueeze(0);
  const at::Tensor sums = at::zeros({groups, left.size(1), right.size(1)}, left.options().dtype(lora_type_));
  for_groups(adapters, left.size(0), [&](std::int64_t group, std::int64_t start, std::int64_t length) {
    sums[group].copy_(sum_over_tokens(left.narrow(0, start, length), right.narrow(0, start, length)));
  });
  return sums;
}

LoraWeights AdaptedGroup::gradients_of_b_and_c(std::size_t map, const at::Tensor& dy, const at::Tensor& reduced,
                                               const TokenAdapters& adapters) const {
  const at::Tensor db = sums_of_groups(columns(reduced, map), dy, adapters);
  LoraWeights result{{}, db.view({adapters_, -1, db.size(2)}), {}};
  if (!c_[map].defined()) return result;
  if (masked_) {
    result.c = sum_over_tokens(adapters.mask, dy).to(lora_type_);
    return result;
  }
  result.c = at::zeros({adapters_, dy.size(1)}, dy.options().dtype(lora_type_));
  for_groups(adapters, dy.size(0), [&](std::int64_t group, std::int64_t start, std::int64_t length) {
    result.c[group].copy_(dy.narrow(0, start, length).sum(0, /*keepdim=*/false, lora_type_));
  });
  return result;
}

SublayerGradients AdaptedGroup::backward(std::span<const at::Tensor> dy, const at::Tensor& x, const at::Tensor& reduced,
                                         const TokenAdapters& adapters, WantedGradients wanted) const {
  SublayerGradients found;
  for (std::size_t m = 0; wanted.x && m < dy.size(); ++m) {
    found.x = m == 0 ? dy[m].mm(maps_[m].forward) : found.x.addmm_(dy[m], maps_[m].forward);
  }
  if (!a_.defined()) return found;
  const at::Tensor up = at::empty_like(reduced);  // (N, K) = dy B^T
  for (std::size_t m = 0; m < dy.size(); ++m) {
    const at::Tensor mine = columns(up, m);
    for_groups(adapters, x.size(0), [&](std::int64_t group, std::int64_t start, std::int64_t length) {
      mine.narrow(0, start, length).copy_(dy[m].narrow(0, start, length).mm(b_[m][group].t()));
    });
    if (masked_) mask_others(mine, adapters.mask);
    if (wanted.lora) found.lora.push_back(gradients_of_b_and_c(m, dy[m], reduced, adapters));
  }
  for_groups(adapters, x.size(0), [&](std::int64_t group, std::int64_t start, std::int64_t length) {
    if (wanted.x) found.x.narrow(0, start, length).addmm_(up.narrow(0, start, length), a_[group].t());
  });
  const at::Tensor da = wanted.lora ? sums_of_groups(x, up, adapters) : at::Tensor();
  for (std::size_t m = 0; m < found.lora.size(); ++m) {
    const at::Tensor mine = columns(da, m).contiguous();
    found.lora[m].a = masked_ ? each_alone(mine, adapters_) : mine;
  }
  return found;
}

}  // namespace shine::torch_kernels
