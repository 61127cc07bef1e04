#include "shine/tensor/raw_tensor.h"

#include <gtest/gtest.h>

namespace shine {
namespace {

TEST(RawTensor, CountsBytesWithoutOverflow) {
  EXPECT_EQ(bytes_of(DType::float32, {}), 4U);
  EXPECT_EQ(bytes_of(DType::bfloat16, {2, 3}), 12U);
  EXPECT_EQ(bytes_of(DType::float64, {INT64_MAX, 0}), 0U);
  EXPECT_EQ(bytes_of(DType::int8, {INT64_MAX}), static_cast<std::size_t>(INT64_MAX));
  EXPECT_EQ(bytes_of(DType::int16, {INT64_MAX}), std::nullopt);
  EXPECT_EQ(bytes_of(DType::int8, {std::int64_t{1} << 32, std::int64_t{1} << 32}), std::nullopt);
  EXPECT_EQ(bytes_of(DType::int8, {0, -1}), std::nullopt);
}

TEST(DType, NamesAndSizesAreThoseOfPyTorch) {
  EXPECT_EQ(name_of(DType::boolean), "bool");
  EXPECT_EQ(name_of(DType::bfloat16), "bfloat16");
  EXPECT_EQ(size_of(DType::boolean), 1U);
  EXPECT_EQ(size_of(DType::float16), 2U);
  EXPECT_EQ(size_of(DType::int32), 4U);
  EXPECT_EQ(size_of(DType::float64), 8U);
}

}  // namespace
}  // namespace shine
