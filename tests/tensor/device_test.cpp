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

}  // namespace
}  // namespace shine::test
