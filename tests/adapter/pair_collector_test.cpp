#include "adapter/pair_collector.h"

#include <cmath>

#include "adapter/adapter_files.h"
#include "io/expect_fault.h"
#include "lora/small_spec.h"
#include "shine/common/error.h"

namespace shine {
namespace {

using test::counting;
using test::expect_fault;

/// A spec of two layers; q is (3, 4), with a bias.
PairCollector collector(PairLayout layout) {
  return {test::small_spec(/*biases=*/true), layout, "file"};
}

TEST(PairCollector, PutsHalvesTogether) {
  for (const PairLayout layout : {PairLayout::ours, PairLayout::transposed}) {
    PairCollector pairs = collector(layout);
    const bool ours = layout == PairLayout::ours;
    pairs.add({1, Projection::q}, PairPart::b, "b", counting(ours ? std::vector{2L, 4L} : std::vector{4L, 2L}, 5));
    pairs.add({1, Projection::q}, PairPart::a, "a", counting(ours ? std::vector{3L, 2L} : std::vector{2L, 3L}));
    pairs.add({1, Projection::q}, PairPart::c, "c", counting({4}));
    const RawPairs found = pairs.finish();
    ASSERT_EQ(found.size(), 2U);
    const auto& pair = found[1][0];
    ASSERT_TRUE(pair.has_value());
    EXPECT_EQ(pair->rank, 2);
    EXPECT_EQ(pair->scale, 1.0);
    EXPECT_EQ(pair->layout, layout);
    EXPECT_EQ(test::numbers_of(pair->b)[0], 5);
    EXPECT_EQ(test::numbers_of(*pair->c)[3], 4);
    EXPECT_FALSE(found[0][0].has_value());
    EXPECT_FALSE(found[1][1].has_value());
  }
}

TEST(PairCollector, RefusesWhatDoesNotFit) {
  const auto added = [](AdaptedMap map, PairPart part, const std::vector<std::int64_t>& shape) {
    PairCollector pairs = collector(PairLayout::ours);
    pairs.add(map, part, "x", counting(shape));
  };
  expect_fault<FormatError>("file: tensor \"x\": the decoder has 2 layers", [&] {
    added({2, Projection::q}, PairPart::a, {3, 2});
  });
  expect_fault<FormatError>("shape [2, 3], the decoder needs [3, rank]", [&] {
    added({0, Projection::q}, PairPart::a, {2, 3});
  });
  expect_fault<FormatError>("needs [rank, 4]", [&] { added({0, Projection::q}, PairPart::b, {2, 3}); });
  expect_fault<FormatError>("needs [3, rank]", [&] { added({0, Projection::q}, PairPart::a, {3}); });
  expect_fault<FormatError>("needs [3, rank]", [&] { added({0, Projection::q}, PairPart::a, {3, 2, 1}); });
  expect_fault<FormatError>("rank 0", [&] { added({0, Projection::q}, PairPart::a, {3, 0}); });
  expect_fault<FormatError>("rank 65537, expected 1 to 65536", [&] {
    added({0, Projection::q}, PairPart::a, {3, 65537});
  });
  expect_fault<FormatError>("expected [4]", [&] { added({0, Projection::q}, PairPart::c, {3}); });
}

TEST(PairCollector, RefusesAMissingHalfAndTwoRanks) {
  for (const PairPart part : {PairPart::a, PairPart::b, PairPart::c}) {
    PairCollector pairs = collector(PairLayout::ours);
    pairs.add({0, Projection::q}, part, "x",
              counting(part == PairPart::a   ? std::vector{3L, 2L}
                       : part == PairPart::b ? std::vector{2L, 4L}
                                             : std::vector{4L}));
    expect_fault<FormatError>(part == PairPart::a ? "tensor \"x\" is without its B" : "tensor \"x\" is without its A",
                              [&] { pairs.finish(); });
  }
  PairCollector pairs = collector(PairLayout::ours);
  pairs.add({0, Projection::q}, PairPart::a, "a", counting({3, 2}));
  expect_fault<FormatError>("names the same part as \"a\"", [&] {
    pairs.add({0, Projection::q}, PairPart::a, "a2", counting({3, 2}));
  });
  pairs.add({0, Projection::q}, PairPart::b, "b", counting({3, 4}));
  expect_fault<FormatError>("\"a\" has rank 2, \"b\" has rank 3", [&] { pairs.finish(); });
  expect_fault<FormatError>("no LoRA tensor", [] { collector(PairLayout::ours).finish(); });
}

TEST(PairCollector, RefusesNumbersThatAreNotFiniteAndOtherTypes) {
  const auto add = [](const RawTensor& tensor) {
    PairCollector pairs = collector(PairLayout::ours);
    pairs.add({0, Projection::q}, PairPart::a, "x", tensor);
  };
  for (const float bad : {INFINITY, -INFINITY, NAN}) {
    expect_fault<FormatError>("a number is not finite", [&] {
      add(test::raw_tensor<float>(DType::float32, {3, 1}, {1, 2, bad}));
    });
  }
  const std::vector<std::pair<DType, std::uint16_t>> halves{
      {DType::float16, 0x7C00}, {DType::float16, 0xFE01}, {DType::bfloat16, 0x7F80}, {DType::bfloat16, 0xFFC0}};
  for (const auto& half : halves) {
    expect_fault<FormatError>("a number is not finite", [&] {
      add(test::raw_tensor<std::uint16_t>(half.first, {3, 1}, {0, half.second, 0}));
    });
  }
  add(test::raw_tensor<std::uint16_t>(DType::float16, {3, 1}, {0x7BFF, 0x8000, 0x0001}));
  add(test::raw_tensor<std::uint16_t>(DType::bfloat16, {3, 1}, {0x7F7F, 0x7C00, 0x0001}));
  expect_fault<UnsupportedError>("float64 numbers", [&] {
    add(test::raw_tensor<double>(DType::float64, {3, 1}, {1, 2, 3}));
  });
  expect_fault<UnsupportedError>("int32 numbers", [&] {
    add(test::raw_tensor<std::int32_t>(DType::int32, {3, 1}, {1, 2, 3}));
  });
}

}  // namespace
}  // namespace shine
