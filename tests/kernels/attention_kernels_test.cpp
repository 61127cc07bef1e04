#include "kernels/cpu/attention_kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/cpu/block_product.h"
#include "support/skip.h"

namespace shine::test {
namespace {

using cpu::Bf16;
using cpu::kColumns;

TEST(AttentionKernels, ExponentialIsWithinTwoUnitsInTheLastPlace) {
  if (!cpu::kernels_run(at::kFloat)) SHINE_SKIP("avx512", "the CPU backend does not run here");
  // A first key with a score of 0 makes 0 the maximum: the weights are exponentials of the scores.
  constexpr std::int64_t keys = 4097;
  std::vector<float> scores(keys * kColumns), weights(scores.size()), highest(kColumns, cpu::kNoScore<float>),
      sum(kColumns), correction(kColumns);
  for (std::size_t i = kColumns; i < scores.size(); ++i) {
    scores[i] = -88.0F * static_cast<float>(i) / static_cast<float>(scores.size());
  }
  cpu::softmax_columns<float>({.keys = keys, .columns = kColumns, .scale = 1.0F}, scores.data(), weights.data(),
                              highest.data(), sum.data(), correction.data());
  double worst = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const double expected = std::exp(static_cast<double>(scores[i]));
    if (scores[i] < -87.3F) {
      EXPECT_EQ(weights[i], 0.0F);
      continue;
    }
    const float nearest = static_cast<float>(expected);
    const double unit = std::nextafter(nearest, 2.0F) - nearest;
    ASSERT_TRUE(std::isfinite(weights[i])) << i;
    worst = std::max(worst, std::abs(weights[i] - expected) / unit);
  }
  EXPECT_LE(worst, 2.0);
  for (const float value : highest) EXPECT_EQ(value, 0.0F);
}

TEST(AttentionKernels, HiddenKeysAndPaddingGetNoWeight) {
  if (!cpu::kernels_run(at::kFloat)) SHINE_SKIP("avx512", "the CPU backend does not run here");
  constexpr std::int64_t keys = 5, columns = 16;
  std::vector<float> scores(keys * kColumns, 0.25F), weights(scores.size(), -1.0F), last(columns),
      highest(columns, cpu::kNoScore<float>), sum(columns), correction(columns);
  for (std::size_t i = 0; i < last.size(); ++i) last[i] = static_cast<float>(i) + 9.0F;  // keys 10 .. 14
  highest[15] = -cpu::kNoScore<float>;
  cpu::softmax_columns<float>({.keys = keys, .columns = columns, .scale = 2.0F, .last = last.data(), .first_key = 10},
                              scores.data(), weights.data(), highest.data(), sum.data(), correction.data());
  for (std::size_t column = 0; column < 15; ++column) {
    EXPECT_EQ(sum[column], static_cast<float>(std::min<std::size_t>(column, 5))) << column;
    for (std::size_t key = 0; key < 5; ++key) {
      EXPECT_EQ(weights[key * kColumns + column], key < column ? 1.0F : 0.0F) << column << " " << key;
    }
  }
  EXPECT_EQ(sum[15], 0.0F);
}

TEST(AttentionKernels, TransposesBlocksOfAnySize) {
  if (!cpu::kernels_run(at::kBFloat16)) SHINE_SKIP("avx512", "the CPU backend does not run here");
  for (const std::int64_t m : {1, 16, 31, 33, 64, 100}) {
    for (const std::int64_t n : {2, 16, 18, 64, 70}) {
      const std::int64_t ld_from = n + 6, ld_to = 128;
      std::vector<Bf16> from(static_cast<std::size_t>(m * ld_from)), to(static_cast<std::size_t>(n * ld_to)),
          packed(static_cast<std::size_t>(n * 2 * kColumns));
      for (std::size_t i = 0; i < from.size(); ++i) from[i].bits = static_cast<std::uint16_t>(i * 7 + 1);
      const auto value = [&](std::int64_t i, std::int64_t j) {
        return from[static_cast<std::size_t>(i * ld_from + j)].bits;
      };
      cpu::transpose_block(m, n, from.data(), ld_from, to.data(), ld_to);
      const std::int64_t count = std::min(m, kColumns);
      cpu::pack_columns(count, n, from.data(), ld_from, packed.data());
      for (std::int64_t i = 0; i < m; ++i) {
        for (std::int64_t j = 0; j < n; ++j) {
          ASSERT_EQ(to[static_cast<std::size_t>(j * ld_to + i)].bits, value(i, j)) << m << " " << n;
          if (i >= count) continue;
          const std::int64_t at = j / 2 * 2 * kColumns + 2 * i + j % 2;
          ASSERT_EQ(packed[static_cast<std::size_t>(at)].bits, value(i, j)) << m << " " << n;
        }
      }
      for (std::int64_t i = count; i < cpu::padded_columns(count); ++i) {
        ASSERT_EQ(packed[static_cast<std::size_t>(2 * i)].bits, 0);
      }
    }
  }
}

}  // namespace
}  // namespace shine::test
