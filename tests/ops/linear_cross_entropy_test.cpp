#include "ops/linear_cross_entropy.h"

#include <ATen/Parallel.h>

#include "kernels/cpu/cross_entropy.h"
#include "kernels/fused.h"
#include "support/gradient_check.h"

namespace shine::test {
namespace {

struct Head {
  at::Tensor weight;
  at::Tensor targets;
};

Head make_head(std::int64_t n, std::int64_t width, std::int64_t vocabulary, at::ScalarType type) {
  // Logits of size 1, so that what is left of them in bfloat16 says something.
  const at::Tensor weight = random_tensor({vocabulary, width}, type, 2) / std::sqrt(static_cast<double>(width));
  return {weight, (at::arange(n, at::kLong) * 7919).remainder(vocabulary)};
}

TensorFunction fused(const Head& head) {
  return [head](const std::vector<at::Tensor>& in) { return linear_cross_entropy(in[0], head.weight, head.targets); };
}

TensorFunction reference(const Head& head) {
  return [head](const std::vector<at::Tensor>& in) {
    return linear_cross_entropy_reference(in[0], head.weight, head.targets);
  };
}

/// With the CPU backend, where the processor runs it, and with LibTorch operations.
class LinearCrossEntropy : public testing::TestWithParam<FusedOps> {
  FusedOpsGuard guard_{GetParam()};
};

INSTANTIATE_TEST_SUITE_P(Forms, LinearCrossEntropy, testing::Values(FusedOps::automatic, FusedOps::off),
                         [](const auto& form) { return form.param == FusedOps::off ? "Composed" : "Backend"; });

TEST_P(LinearCrossEntropy, FormsAgree) {
  // Blocks of 64 rows, groups of 4 blocks, strips of 128 tokens: below, at and beyond each.
  for (const auto& [n, width, vocabulary] : std::vector<std::array<std::int64_t, 3>>{{5, 3, 11},
                                                                                     {1, 1, 1},
                                                                                     {0, 4, 9},
                                                                                     {64, 16, 128},
                                                                                     {65, 34, 129},
                                                                                     {300, 130, 257},
                                                                                     {256, 20, 1000},
                                                                                     {2, 258, 700}}) {
    const auto hidden = [&, rows = n, columns = width](at::ScalarType type) {
      return random_leaf({rows, columns}, type);
    };
    const auto head = [&, rows = n, columns = width, v = vocabulary](at::ScalarType type) {
      return make_head(rows, columns, v, type);
    };
    EXPECT_TRUE(forms_agree(fused(head(at::kDouble)), reference(head(at::kDouble)), {hidden(at::kDouble)}, 1e-12)) << n;
    EXPECT_TRUE(forms_agree(fused(head(at::kFloat)), reference(head(at::kFloat)), {hidden(at::kFloat)}, 1e-5)) << n;
    // The logits are rounded to bfloat16 in both forms, the gradient by the logits in one step more.
    EXPECT_TRUE(
        forms_agree(fused(head(at::kBFloat16)), reference(head(at::kBFloat16)), {hidden(at::kBFloat16)}, 2e-2, 1.2e-2))
        << n;
  }
}

TEST_P(LinearCrossEntropy, GradientMatchesDifferences) {
  EXPECT_TRUE(gradients_match_differences(fused(make_head(4, 3, 9, at::kDouble)), {random_leaf({4, 3})}));
}

TEST_P(LinearCrossEntropy, ManyChunksGiveTheLossOfAllLogitsAtOnce) {
  // A chunk holds 2^24 logits: 167 rows of this vocabulary, so 400 rows take three, the last one shorter.
  const std::int64_t n = 400, width = 3, vocabulary = 100003;
  const Head head = make_head(n, width, vocabulary, at::kFloat);
  const at::Tensor hidden = random_leaf({n, width}, at::kFloat);
  const TensorFunction whole = [&](const auto& in) {
    return at::cross_entropy_loss(in[0].mm(head.weight.t()), head.targets, /*weight=*/{}, at::Reduction::None);
  };
  // LibTorch's sums over so many tokens are 5e-5 from those in float64.
  EXPECT_TRUE(forms_agree(fused(head), whole, {hidden}, 1e-4));
}

TEST_P(LinearCrossEntropy, LossIsFloat32AndFiniteForLargeLogits) {
  Head head = make_head(2, 3, 5, at::kBFloat16);
  const at::Tensor losses = linear_cross_entropy(random_tensor({2, 3}, at::kBFloat16) * 1e4, head.weight, head.targets);
  EXPECT_EQ(losses.scalar_type(), at::kFloat);
  EXPECT_TRUE(losses.isfinite().all().item<bool>());
}

TEST_P(LinearCrossEntropy, WithoutGradientTheLossIsTheSame) {
  const Head head = make_head(5, 3, 11, at::kFloat);
  const at::Tensor hidden = random_leaf({5, 3}, at::kFloat), losses = fused(head)({hidden});
  const at::NoGradGuard no_grad;
  const at::Tensor again = fused(head)({hidden});
  EXPECT_FALSE(again.requires_grad());
  EXPECT_TRUE(at::equal(again, losses.detach()));
}

TEST_P(LinearCrossEntropy, GivesTheSameOnAnyNumberOfThreads) {
  const Head head = make_head(130, 48, 1500, at::kFloat);
  const int before = at::get_num_threads();
  const auto run = [&](int threads) {
    at::set_num_threads(threads);
    const at::Tensor hidden = random_leaf({130, 48}, at::kFloat);
    const auto result = std::pair{fused(head)({hidden}), gradients_of(fused(head), {hidden})[0]};
    at::set_num_threads(before);
    return result;
  };
  const auto expected = run(1);
  for (const int threads : {2, 5}) {
    const auto found = run(threads), again = run(threads);
    EXPECT_TRUE(tensors_match(found.first, expected.first, 1e-5)) << threads;
    EXPECT_TRUE(gradients_match(found.second, expected.second, 1e-5)) << threads;
    EXPECT_TRUE(at::equal(found.second, again.second)) << threads;
  }
}

TEST_P(LinearCrossEntropy, WhatIsNotANumberStaysInItsRow) {
  const Head head = make_head(3, 4, 200, at::kFloat);
  const at::NoGradGuard no_grad;
  const at::Tensor hidden = random_tensor({3, 4}, at::kFloat);
  hidden[1][2] = std::numeric_limits<double>::quiet_NaN();
  const at::Tensor losses = fused(head)({hidden});
  EXPECT_TRUE(losses[1].isnan().item<bool>());
  EXPECT_EQ(losses.isnan().sum().item<std::int64_t>(), 1);
}

TEST_P(LinearCrossEntropy, TargetOutsideTheVocabularyThrows) {
  Head head = make_head(2, 3, 5, at::kFloat);
  for (const std::int64_t outside : {std::int64_t{5}, std::int64_t{-1}, std::int64_t{-100}}) {
    head.targets = at::full({2}, outside, at::kLong);
    EXPECT_THROW(fused(head)({random_leaf({2, 3}, at::kFloat)}), std::exception) << outside;
  }
}

}  // namespace
}  // namespace shine::test
