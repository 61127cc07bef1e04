// The GPU kernels on an emulated device against formulas in float64: drawn sizes of short and long rows, odd ones too,
// pointers that are not aligned.
#include "kernels/cuda/emulated_device.h"
//
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "kernels/cuda/kernels.h"
#include "support/random_sizes.h"

namespace shine::cuda {
namespace {

using bfloat16 = __nv_bfloat16;
using test::RandomSizes;

float to_float(float value) {
  return value;
}
float to_float(bfloat16 value) {
  return __bfloat162float(value);
}

/// Values behind a pointer that is `shift` values past a 16-byte boundary.
template <class T>
class Values {
 public:
  Values(std::int64_t count, int shift, std::uint32_t seed, float deviation = 1.0F)
      : memory_(static_cast<std::size_t>(count + shift) * sizeof(T) + 16), shift_(shift) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0.0F, deviation);
    for (std::int64_t i = 0; i < count; ++i) data()[i] = static_cast<T>(normal(random));
  }
  T* data() {
    const auto address = reinterpret_cast<std::uintptr_t>(memory_.data());
    return reinterpret_cast<T*>((address + 15) / 16 * 16) + shift_;
  }
  double operator[](std::int64_t i) { return to_float(data()[i]); }
  void set(std::int64_t i, double value) { data()[i] = static_cast<T>(static_cast<float>(value)); }

 private:
  std::vector<unsigned char> memory_;
  int shift_;
};

template <class T>
class EmulatedKernels : public testing::Test {
 protected:
  static constexpr bool kWide = std::is_same_v<T, float>;
  static constexpr ValueType kType = kWide ? ValueType::float32 : ValueType::bfloat16;
  static constexpr double kTolerance = kWide ? 5e-6 : 3e-2;

  RandomSizes draw_;
  testing::ScopedTrace trace_{__FILE__, __LINE__, draw_.hint()};

  void expect_near(double found, double expected, double tolerance, const char* what, std::int64_t index) {
    ASSERT_LE(std::abs(found - expected), tolerance * (1.0 + std::abs(expected))) << what << " " << index;
  }
};
using Types = testing::Types<float, bfloat16>;
TYPED_TEST_SUITE(EmulatedKernels, Types);

constexpr float kEps = 1e-6F;

TYPED_TEST(EmulatedKernels, RmsNorm) {
  using T = TypeParam;
  for (const auto& [rows, width] : test::rows_of_every_kind(this->draw_)) {
    SCOPED_TRACE(testing::Message() << rows << " rows of " << width);
    for (const int shift : {0, 1}) {
      for (const bool added : {false, true}) {
        const std::int64_t count = rows * width, parts = 3;
        Values<T> x(count, shift, 1), weight(width, shift, 3), y(count, shift, 5), dy(count, shift, 6),
            more(count, shift, 7), dx(count, shift, 8), dw(width, shift, 9);
        Values<float> inverse(rows, 0, 1), partial(parts * width, 0, 1);
        rms_norm_forward({this->kType, rows, width, x.data(), weight.data(), y.data(), inverse.data(), kEps}, nullptr);
        rms_norm_backward({this->kType, rows, width, dy.data(), x.data(), weight.data(), added ? more.data() : nullptr,
                           inverse.data(), dx.data()},
                          nullptr);
        rms_norm_weight_gradient(
            {this->kType, rows, width, parts, dy.data(), x.data(), inverse.data(), partial.data(), dw.data()}, nullptr);
        std::vector<double> to_weight(static_cast<std::size_t>(width));
        for (std::int64_t row = 0; row < rows; ++row) {
          const std::int64_t first = row * width;
          double squares = 0.0, along = 0.0;
          for (std::int64_t i = first; i < first + width; ++i) {
            squares += x[i] * x[i];
          }
          const double scale = 1.0 / std::sqrt(squares / static_cast<double>(width) + kEps);
          for (std::int64_t i = 0; i < width; ++i) along += dy[first + i] * weight[i] * x[first + i] * scale;
          along /= static_cast<double>(width);
          for (std::int64_t i = 0; i < width; ++i) {
            const std::int64_t at = first + i;
            const double normed = x[at] * scale;
            this->expect_near(y[at], normed * weight[i], this->kTolerance, "y", at);
            this->expect_near(dx[at], scale * (dy[at] * weight[i] - normed * along) + (added ? more[at] : 0.0),
                              this->kTolerance, "dx", at);
            to_weight[static_cast<std::size_t>(i)] += dy[at] * normed;
          }
        }
        for (std::int64_t i = 0; i < width; ++i) {
          this->expect_near(dw[i], to_weight[static_cast<std::size_t>(i)], 2 * this->kTolerance, "dweight", i);
        }
      }
    }
  }
}

TYPED_TEST(EmulatedKernels, NormAndRope) {
  using T = TypeParam;
  for (const auto& [tokens, heads, d] : test::heads_of_every_kind(this->draw_)) {
    SCOPED_TRACE(testing::Message() << tokens << " tokens, " << heads << " heads of " << d);
    for (const int shift : {0, 1}) {
      const std::int64_t count = tokens * heads * d, half = d / 2;
      Values<T> x(count, shift, 1), weight(d, shift, 2), cos(tokens * d, shift, 3), sin(tokens * d, shift, 4),
          y(count, shift, 5), rotated(count, shift, 6), dy(count, shift, 7), dx(count, shift, 8);
      Values<float> inverse(tokens * heads, 0, 1);
      for (std::int64_t i = 0; i < tokens * d; ++i) {
        const double angle = static_cast<double>(i / d * 7 + i % half);
        cos.set(i, std::cos(angle));
        sin.set(i, std::sin(angle));
      }
      apply_rope({this->kType, tokens, heads, d, x.data(), cos.data(), sin.data(), rotated.data(), /*inverse=*/true},
                 nullptr);
      norm_rope_forward({this->kType, tokens, heads, d, x.data(), weight.data(), cos.data(), sin.data(), y.data(),
                         inverse.data(), kEps},
                        nullptr);
      norm_rope_backward({this->kType, tokens, heads, d, dy.data(), x.data(), weight.data(), cos.data(), sin.data(),
                          inverse.data(), dx.data()},
                         nullptr);
      for (std::int64_t vector = 0; vector < tokens * heads; ++vector) {
        const std::int64_t first = vector * d, table = vector / heads * d;
        const auto turn = [&](double low, double high, double sign, std::int64_t i) {
          const double s = sign * sin[table + i];
          return std::pair{low * cos[table + i] - high * s, high * cos[table + i] + low * s};
        };
        double squares = 0.0, along = 0.0;
        for (std::int64_t i = 0; i < d; ++i) squares += x[first + i] * x[first + i];
        const double scale = 1.0 / std::sqrt(squares / static_cast<double>(d) + kEps);
        std::vector<double> inner(static_cast<std::size_t>(d));
        for (std::int64_t i = 0; i < half; ++i) {
          const std::int64_t low = first + i, high = low + half;
          const auto rope = turn(x[low], x[high], -1.0, i);
          this->expect_near(rotated[low], rope.first, this->kTolerance, "rope", low);
          this->expect_near(rotated[high], rope.second, this->kTolerance, "rope", high);
          const auto out = turn(x[low] * scale * weight[i], x[high] * scale * weight[half + i], 1.0, i);
          this->expect_near(y[low], out.first, this->kTolerance, "y", low);
          this->expect_near(y[high], out.second, this->kTolerance, "y", high);
          const auto back = turn(dy[low], dy[high], -1.0, i);
          inner[static_cast<std::size_t>(i)] = back.first * weight[i];
          inner[static_cast<std::size_t>(half + i)] = back.second * weight[half + i];
        }
        for (std::int64_t i = 0; i < d; ++i) along += inner[static_cast<std::size_t>(i)] * x[first + i] * scale;
        along /= static_cast<double>(d);
        for (std::int64_t i = 0; i < d; ++i) {
          const double expected = scale * (inner[static_cast<std::size_t>(i)] - x[first + i] * scale * along);
          this->expect_near(dx[first + i], expected, this->kTolerance, "dx", first + i);
        }
      }
    }
  }
}

TYPED_TEST(EmulatedKernels, SwiGlu) {
  using T = TypeParam;
  RandomSizes& draw = this->draw_;
  for (const std::int64_t count :
       {std::int64_t{0}, std::int64_t{1}, draw.odd(3, 99), draw.multiple_of(8, 8, 4096), draw.odd(2049, 9001)}) {
    SCOPED_TRACE(count);
    Values<T> gate(count, 0, 1, 4.0F), up(count, 0, 2), y(count, 0, 3), dy(count, 0, 4), dgate(count, 0, 5),
        dup(count, 0, 6);
    swiglu_forward({this->kType, count, gate.data(), up.data(), y.data()}, nullptr);
    swiglu_backward({this->kType, count, dy.data(), gate.data(), up.data(), dgate.data(), dup.data()}, nullptr);
    for (std::int64_t i = 0; i < count; ++i) {
      const double s = 1.0 / (1.0 + std::exp(-gate[i]));
      this->expect_near(y[i], gate[i] * s * up[i], this->kTolerance, "y", i);
      this->expect_near(dgate[i], dy[i] * up[i] * s * (1.0 + gate[i] * (1.0 - s)), this->kTolerance, "dgate", i);
      this->expect_near(dup[i], dy[i] * gate[i] * s, this->kTolerance, "dup", i);
    }
  }
}

TYPED_TEST(EmulatedKernels, CrossEntropy) {
  using T = TypeParam;
  constexpr std::int64_t rows = 3;
  RandomSizes& draw = this->draw_;
  for (const std::int64_t width : {std::int64_t{1}, draw.odd(3, 99), draw.multiple_of(8, 8, 1024), draw.odd(1025, 5001),
                                   draw.multiple_of(8, 4104, 9000)}) {
    SCOPED_TRACE(width);
    for (const bool gradient : {true, false}) {
      Values<T> logits(rows * width, 0, 1, 3.0F), before(rows * width, 0, 1, 3.0F);
      Values<float> losses(rows, 0, 2);
      const std::vector<std::int64_t> targets{0, width - 1, width / 2};
      cross_entropy({this->kType, rows, width, logits.data(), targets.data(), losses.data(), gradient}, nullptr);
      for (std::int64_t row = 0; row < rows; ++row) {
        const std::int64_t first = row * width, target = targets[static_cast<std::size_t>(row)];
        double total = 0.0;
        for (std::int64_t i = 0; i < width; ++i) total += std::exp(before[first + i]);
        this->expect_near(losses[row], std::log(total) - before[first + target], 5e-6, "loss", row);
        for (std::int64_t i = 0; i < width; ++i) {
          const double expected =
              gradient ? std::exp(before[first + i]) / total - (i == target ? 1.0 : 0.0) : before[first + i];
          this->expect_near(logits[first + i], expected, this->kTolerance, "logit", first + i);
        }
      }
    }
  }
}

class EmulatedOptimizer : public testing::TestWithParam<ClipFactors::Form> {
 protected:
  RandomSizes draw_;
  testing::ScopedTrace trace_{__FILE__, __LINE__, draw_.hint()};
};
INSTANTIATE_TEST_SUITE_P(Forms, EmulatedOptimizer,
                         testing::Values(ClipFactors::Form::none, ClipFactors::Form::global,
                                         ClipFactors::Form::per_group));

TEST_P(EmulatedOptimizer, OneStep) {
  const std::int64_t large = draw_.any(2 * kFlatChunkValues + 1, 3 * kFlatChunkValues), small = draw_.odd(3, 99),
                     between = large + small, third = between + draw_.any(1, 16);
  const std::vector<FlatRange> ranges{{0, 0, large, 0, 0}, {large, large, small, 1, 2}, {third, between, 1, 0, 1}};
  const FlatTables tables = cut_into_chunks(ranges);
  const auto chunks = static_cast<std::int64_t>(tables.chunks.size());
  const std::vector<std::int64_t> place_groups{0, 0, 1};
  const std::vector<float> decay{0.3F, 0.0F};
  const std::int64_t count = third + 8;
  Values<float> value(count, 0, 1), start(count, 0, 1), gradient(count, 0, 2), first(count, 0, 3), second(count, 0, 4);
  for (std::int64_t i = 0; i < count; ++i) second.set(i, std::abs(second[i]));
  std::vector<double> partial(tables.chunks.size()), squares(3), expected(3);
  std::vector<float> factors(2);
  std::int32_t finite = -1;
  constexpr double scale = 0.25, limit = 0.5;
  square_sums(
      {gradient.data(), tables.chunks.data(), chunks, tables.parts.data(), 3, scale, partial.data(), squares.data()},
      nullptr);
  for (const FlatRange& range : ranges) {
    auto& square = expected[static_cast<std::size_t>(range.place)];
    for (std::int64_t i = 0; i < range.numel; ++i) square += std::pow(scale * gradient[range.begin + i], 2);
    EXPECT_NEAR(squares[static_cast<std::size_t>(range.place)], square, 1e-5 * square);
  }
  const auto factor_call = [&] {
    clip_factors({GetParam(), scale, limit, squares.data(), place_groups.data(), 3, 2, factors.data(), &finite},
                 nullptr);
  };
  const AdamW step{tables.chunks.data(),
                   chunks,
                   value.data(),
                   gradient.data(),
                   first.data(),
                   second.data(),
                   factors.data(),
                   &finite,
                   decay.data(),
                   0.02F,
                   0.9F,
                   0.999F,
                   1e-8F,
                   0.1F,
                   0.001F,
                   0.1F,
                   0.0316F};
  squares[2] = std::nan("");
  factor_call();
  adamw(step, nullptr);
  EXPECT_EQ(finite, 0);
  for (std::int64_t i = 0; i < count; ++i) ASSERT_EQ(value[i], start[i]) << "not finite, and changed";
  squares[2] = expected[2];
  factor_call();
  EXPECT_EQ(finite, 1);
  const double group_squares[2] = {expected[0] + expected[1], expected[2]};
  for (std::size_t group = 0; group < 2; ++group) {
    const bool global = GetParam() == ClipFactors::Form::global;
    const double norm = std::sqrt(global ? group_squares[0] + group_squares[1] : group_squares[group]);
    const double clip = GetParam() == ClipFactors::Form::none ? 1.0 : std::min(1.0, limit / (norm + 1e-6));
    EXPECT_NEAR(factors[group], scale * clip, 1e-6);
  }
  Values<float> first_before(count, 0, 3), second_before(count, 0, 4);
  adamw(step, nullptr);
  for (const FlatRange& range : ranges) {
    for (std::int64_t i = 0; i < range.numel; ++i) {
      const std::int64_t at = range.begin + i, moment = range.offset + i;
      const auto group = static_cast<std::size_t>(range.group);
      const double g = gradient[at] * factors[group], m = 0.9 * first_before[moment] + 0.1 * g,
                   v = 0.999 * std::abs(second_before[moment]) + 0.001 * g * g;
      const double w = start[at] * (1.0 - 0.02 * decay[group]) - 0.02 / 0.1 * m / (std::sqrt(v) / 0.0316 + 1e-8);
      ASSERT_NEAR(first[moment], m, 1e-6) << at;
      ASSERT_NEAR(second[moment], v, 1e-6) << at;
      ASSERT_NEAR(value[at], w, 5e-6 * (1.0 + std::abs(w))) << at;
    }
  }
  EXPECT_EQ(value[between], start[between]) << "between two tensors";
}

}  // namespace
}  // namespace shine::cuda
