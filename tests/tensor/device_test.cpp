#include "shine/tensor/device.h"

#include <ATen/Context.h>
#include <gtest/gtest.h>

namespace shine::test {
namespace {

TEST(Device, Tf32IsSetForMatrixProductsOnAGpuAlone) {
  const at::Context& context = at::globalContext();
  EXPECT_FALSE(context.allowTF32CuBLAS());
  for (const bool on : {true, false}) {
    set_tf32(on);
    EXPECT_EQ(context.allowTF32CuBLAS(), on);  // throws where one of LibTorch's two interfaces was passed by
    EXPECT_FALSE(context.allowTF32OneDNN());
  }
}

TEST(Device, CudnnAttentionCanBeAvoided) {
  at::Context& context = at::globalContext();
  const bool before = context.userEnabledCuDNNSDP();
  context.setSDPUseCuDNN(true);
  avoid_cudnn_attention();
  EXPECT_FALSE(context.userEnabledCuDNNSDP());
  EXPECT_TRUE(context.userEnabledFlashSDP());
  context.setSDPUseCuDNN(before);
}

}  // namespace
}  // namespace shine::test
