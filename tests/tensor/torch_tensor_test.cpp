#include "shine/tensor/torch_tensor.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "shine/common/error.h"
#include "shine/tensor/device.h"

namespace shine {
namespace {

constexpr std::array kTypes{DType::float64, DType::float32, DType::float16, DType::bfloat16, DType::int64,
                            DType::int32,   DType::int16,   DType::int8,    DType::uint8,    DType::boolean};

TEST(TorchTensor, TypesMapBothWays) {
  for (const DType type : kTypes) {
    const at::ScalarType scalar = to_scalar_type(type);
    EXPECT_EQ(from_scalar_type(scalar), type) << name_of(type);
    EXPECT_EQ(c10::elementSize(scalar), size_of(type)) << name_of(type);
  }
  EXPECT_EQ(to_scalar_type(DType::bfloat16), at::kBFloat16);
  EXPECT_EQ(to_scalar_type(DType::uint8), at::kByte);
  EXPECT_THROW(from_scalar_type(at::kComplexFloat), UnsupportedError);
}

TEST(TorchTensor, RoundTripSharesTheBytes) {
  for (const DType type : kTypes) {
    const at::Tensor tensor = at::arange(6, to_scalar_type(DType::int64)).view({2, 3}).to(to_scalar_type(type));
    const RawTensor raw = to_raw(tensor);
    EXPECT_EQ(raw.dtype, type);
    EXPECT_EQ(raw.shape, (std::vector<std::int64_t>{2, 3}));
    EXPECT_EQ(raw.bytes, 6 * size_of(type));
    EXPECT_EQ(static_cast<const void*>(raw.data), tensor.const_data_ptr());
    const at::Tensor again = to_tensor(raw);
    EXPECT_EQ(again.const_data_ptr(), tensor.const_data_ptr());
    EXPECT_TRUE(at::equal(again, tensor)) << name_of(type);
  }
}

TEST(TorchTensor, RawOfAViewHoldsTheViewsValues) {
  const at::Tensor base = at::arange(6, at::kFloat).view({2, 3});
  EXPECT_TRUE(at::equal(to_tensor(to_raw(base.t())), base.t()));
  const RawTensor row = to_raw(base[1]);
  EXPECT_EQ(row.bytes, 12U);
  EXPECT_EQ(static_cast<const void*>(row.data), base[1].const_data_ptr());
  EXPECT_TRUE(at::equal(to_tensor(row), base[1]));
  EXPECT_FALSE(to_tensor(to_raw(base.clone().requires_grad_(true))).requires_grad());
}

TEST(TorchTensor, ScalarsAndEmptyTensors) {
  const at::Tensor scalar = to_tensor(to_raw(at::scalar_tensor(2.5)));
  EXPECT_EQ(scalar.dim(), 0);
  EXPECT_EQ(scalar.item<double>(), 2.5);
  RawTensor empty;
  empty.shape = {0, 4};
  EXPECT_EQ(to_tensor(empty).sizes(), at::IntArrayRef({0, 4}));
  EXPECT_EQ(to_raw(at::zeros({3, 0})).bytes, 0U);
}

TEST(TorchTensor, EitherSideKeepsTheMemoryAlive) {
  auto owner = std::make_shared<std::vector<float>>(std::vector<float>{1.0F, 2.0F});
  const std::weak_ptr<std::vector<float>> watch = owner;
  at::Tensor tensor;
  {
    RawTensor raw;
    raw.shape = {2};
    raw.data = reinterpret_cast<const std::byte*>(owner->data());
    raw.bytes = 8;
    raw.owner = std::move(owner);
    tensor = to_tensor(raw);
  }
  EXPECT_FALSE(watch.expired());
  EXPECT_EQ(tensor[1].item<float>(), 2.0F);
  RawTensor back = to_raw(tensor);
  tensor.reset();
  EXPECT_FALSE(watch.expired());
  back = {};
  EXPECT_TRUE(watch.expired());
}

TEST(Device, ParsesNames) {
  EXPECT_EQ(parse_device("cpu"), at::Device(at::kCPU));
  EXPECT_EQ(parse_device("auto").is_cuda(), at::hasCUDA());
  for (const char* wrong : {"", "gpu", "CPU", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", "cuda:999999999999", "cpu:0"}) {
    EXPECT_THROW(parse_device(wrong), ConfigError) << wrong;
  }
  EXPECT_THROW(parse_device("cuda:99"), UnsupportedError);
  if (!at::hasCUDA()) {
    EXPECT_THROW(parse_device("cuda"), UnsupportedError);
  }
}

TEST(Device, ReportsPeakMemory) {
  const std::size_t before = peak_resident_bytes();
  EXPECT_GT(before, 1U << 20);
  const at::Tensor large = at::ones({1 << 26}, at::kByte);
  EXPECT_GE(peak_resident_bytes(), before);
  EXPECT_GE(peak_resident_bytes(), std::size_t{1} << 26);
}

}  // namespace
}  // namespace shine
