#include "kernels/fused.h"

#include <gtest/gtest.h>

#include <regex>

#include "kernels/cuda/checked_kernels.h"

namespace shine::test {
namespace {

bool is_listed(CudaKernel kernel) {
  for (const CheckedKernel& checked : checked_kernels) {
    if (checked.kernel == kernel) return true;
  }
  return false;
}

TEST(FusedOps, AutoUsesOnlyKernelsThatAGpuHasChecked) {
  EXPECT_EQ(fused_ops(), FusedOps::automatic);
  for (const auto kernel : {CudaKernel::rms_norm, CudaKernel::rope, CudaKernel::swiglu, CudaKernel::cross_entropy,
                            CudaKernel::lora_slices, CudaKernel::adamw, CudaKernel::gradient_norm}) {
    EXPECT_EQ(use_cuda_kernel(kernel), is_listed(kernel));
    const FusedOpsGuard off(FusedOps::off);
    EXPECT_FALSE(use_cuda_kernel(kernel));
  }
}

TEST(FusedOps, AGraphIsUsedWhereItsKeySaysSoOrAGpuHasCheckedIt) {
  for (const auto graph : {CudaKernel::decoding_graph, CudaKernel::m2p_graph}) {
    EXPECT_TRUE(use_cuda_graph(CudaGraph::on, graph));
    EXPECT_FALSE(use_cuda_graph(CudaGraph::off, graph));
    EXPECT_EQ(use_cuda_graph(CudaGraph::automatic, graph), is_listed(graph));
    const FusedOpsGuard off(FusedOps::off);
    EXPECT_FALSE(use_cuda_graph(CudaGraph::on, graph));
  }
}

TEST(FusedOps, TheCpusFormIsOnUnlessOff) {
  EXPECT_TRUE(use_fused_forms());
  {
    const FusedOpsGuard off(FusedOps::off);
    EXPECT_FALSE(use_fused_forms());
    const FusedOpsGuard on(FusedOps::on);
    EXPECT_TRUE(use_fused_forms());
  }
  EXPECT_EQ(fused_ops(), FusedOps::automatic);
}

TEST(FusedOps, EveryCheckNamesItsDateGpuAndFigures) {
  for (const CheckedKernel& checked : checked_kernels) {
    EXPECT_TRUE(std::regex_match(std::string(checked.date), std::regex(R"(20\d\d-\d\d-\d\d)"))) << checked.date;
    EXPECT_FALSE(checked.gpu.empty());
    EXPECT_FALSE(checked.figures.empty());
  }
}

}  // namespace
}  // namespace shine::test
