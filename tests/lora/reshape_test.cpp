#include "lora/reshape.h"

#include <gtest/gtest.h>

#include "lora/small_spec.h"
#include "shine/config/enum_names.h"

namespace shine::test {
namespace {

constexpr std::int64_t kRank = 3;
constexpr double kScale = 0.25;
constexpr std::array kReshapes{LoraReshape::rl, LoraReshape::rr, LoraReshape::lr, LoraReshape::ll};
static_assert(kReshapes.size() == config_names(LoraReshape{}).size());

TEST(Reshape, SlicesFillTheLayersPartEndToEnd) {
  for (const LoraReshape reshape : kReshapes) {
    for (const bool biases : {false, true}) {
      const LoraSpec spec = small_spec(biases);
      std::int64_t end = 0;
      for (const LoraSlice& slice : lora_slices(spec, kRank, reshape, kScale)) {
        EXPECT_EQ(slice.start, end) << enum_name(reshape);
        end += slice.numel();
      }
      EXPECT_EQ(end, spec.numel_per_layer(kRank)) << enum_name(reshape);
    }
  }
}

TEST(Reshape, EveryProjectionHasAAndBAndWithABiasC) {
  for (const bool biases : {false, true}) {
    const LoraSpec spec = small_spec(biases);
    const std::vector<LoraSlice> slices = lora_slices(spec, kRank, LoraReshape::lr, kScale);
    auto slice = slices.begin();
    const auto expect = [&](Projection p, LoraSlice::Part part, std::int64_t rows, std::int64_t columns,
                            double factor) {
      ASSERT_NE(slice, slices.end());
      EXPECT_EQ(slice->projection, p);
      EXPECT_EQ(slice->part, part) << name_of(p);
      EXPECT_EQ(slice->rows, rows) << name_of(p);
      EXPECT_EQ(slice->columns, columns) << name_of(p);
      EXPECT_EQ(slice->factor, factor) << name_of(p);
      ++slice;
    };
    for (const Projection p : kProjections) {
      const auto [in, out, has_bias] = spec[p];
      expect(p, LoraSlice::Part::a, in, kRank, 0.5);
      expect(p, LoraSlice::Part::b, kRank, out, 0.5);
      if (has_bias) expect(p, LoraSlice::Part::c, 1, out, 0.25);
    }
    EXPECT_EQ(slice, slices.end());
  }
}

TEST(Reshape, TheFirstLetterTransposesATheSecondB) {
  for (const LoraReshape reshape : kReshapes) {
    const std::string_view letters = enum_name(reshape);
    for (const LoraSlice& slice : lora_slices(small_spec(true), kRank, reshape, kScale)) {
      bool transposed = false;
      if (slice.part == LoraSlice::Part::a) transposed = letters[0] == 'l';
      if (slice.part == LoraSlice::Part::b) transposed = letters[1] == 'r';
      EXPECT_EQ(slice.transposed, transposed) << letters;
    }
  }
}

}  // namespace
}  // namespace shine::test
