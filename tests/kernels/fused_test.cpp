#include "kernels/fused.h"

#include <gtest/gtest.h>

#include <regex>
#include <set>

#include "kernels/cuda/checked_kernels.h"

namespace shine::test {
namespace {

bool is_listed(CudaKernel kernel) {
  for (const CheckedKernel& checked : kCheckedKernels) {
    if (checked.kernel == kernel) return true;
  }
  return false;
}

TEST(FusedOps, AutoUsesOnlyKernelsThatAGpuHasChecked) {
  EXPECT_EQ(fused_ops(), FusedOps::automatic);
  for (const auto kernel : {CudaKernel::rms_norm, CudaKernel::rope, CudaKernel::swiglu, CudaKernel::cross_entropy,
                            CudaKernel::adamw, CudaKernel::gradient_norm}) {
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

/// The entry says when, on which GPU and how near to the references its kernel was checked.
bool is_whole(const CheckedKernel& checked) {
  static const std::regex date(R"(20\d\d-\d\d-\d\d)"), gpu(R"(\w.*, CUDA \d+\.\d+)"), figures(R"(\d\.\d+e-\d\d.*)");
  return std::regex_match(std::string(checked.date), date) && std::regex_match(std::string(checked.gpu), gpu) &&
         std::regex_match(std::string(checked.figures), figures);
}

TEST(FusedOps, EveryCheckNamesItsDateGpuAndFigures) {
  const CheckedKernel whole{CudaKernel::rms_norm, "2026-01-31", "NVIDIA H200, CUDA 13.0", "2.4e-07, 3.9e-03"};
  EXPECT_TRUE(is_whole(whole));
  for (const auto part : {&CheckedKernel::date, &CheckedKernel::gpu, &CheckedKernel::figures}) {
    for (const char* text : {"", "today", "2026-1-31"}) {
      CheckedKernel changed = whole;
      changed.*part = text;
      EXPECT_FALSE(is_whole(changed)) << text;
    }
  }
  std::set<CudaKernel> kernels;
  for (const CheckedKernel& checked : kCheckedKernels) {
    EXPECT_TRUE(is_whole(checked)) << checked.date << " " << checked.gpu << " " << checked.figures;
    EXPECT_TRUE(kernels.insert(checked.kernel).second) << "a kernel twice, checked on " << checked.date;
  }
}

}  // namespace
}  // namespace shine::test
