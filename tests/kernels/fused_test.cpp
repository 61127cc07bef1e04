#include "kernels/fused.h"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <thread>

namespace shine::test {
namespace {

constexpr std::array kKernels{CudaKernel::rms_norm,        CudaKernel::rope,  CudaKernel::swiglu,
                              CudaKernel::cross_entropy,   CudaKernel::adamw, CudaKernel::gradient_norm,
                              CudaKernel::packed_attention};
constexpr std::array kGraphs{CudaKernel::decoding_graph, CudaKernel::m2p_graph};
static_assert(kKernels.size() + kGraphs.size() == kCudaKernels);

/// The verdict that a test leaves behind is the one that it found.
class Passed {
 public:
  Passed(CudaKernel kernel, bool passed) : kernel_(kernel), before_(has_passed(kernel)) { set_passed(kernel, passed); }
  ~Passed() { set_passed(kernel_, before_); }
  Passed(const Passed&) = delete;
  Passed& operator=(const Passed&) = delete;

 private:
  CudaKernel kernel_;
  bool before_;
};

TEST(FusedOps, AutoUsesOnlyKernelsThatHavePassed) {
  EXPECT_EQ(fused_ops(), FusedOps::automatic);
  for (const CudaKernel kernel : kKernels) {
    for (const bool passed : {false, true}) {
      const Passed verdict(kernel, passed);
      EXPECT_EQ(use_cuda_kernel(kernel), passed);
      const FusedOpsGuard on(FusedOps::on);
      EXPECT_TRUE(use_cuda_kernel(kernel));
      const FusedOpsGuard off(FusedOps::off);
      EXPECT_FALSE(use_cuda_kernel(kernel));
    }
  }
}

TEST(FusedOps, AKernelRunsWhileItIsCheckedButNotInItsReference) {
  const Passed verdict(CudaKernel::rope, false);
  {
    const KernelUnderCheck check(CudaKernel::rope);
    EXPECT_TRUE(use_cuda_kernel(CudaKernel::rope));
    bool elsewhere = false;
    std::thread([&] { elsewhere = use_cuda_kernel(CudaKernel::rope); }).join();
    EXPECT_TRUE(elsewhere) << "a backward's thread";
    EXPECT_EQ(use_cuda_kernel(CudaKernel::swiglu), has_passed(CudaKernel::swiglu));
    const ReferenceForms references;
    EXPECT_FALSE(use_cuda_kernel(CudaKernel::rope));
  }
  EXPECT_FALSE(use_cuda_kernel(CudaKernel::rope));
}

TEST(FusedOps, AGraphIsUsedWhereItsKeySaysSoOrGraphsHavePassed) {
  for (const CudaKernel graph : kGraphs) {
    for (const bool passed : {false, true}) {
      const Passed verdict(graph, passed);
      EXPECT_TRUE(use_cuda_graph(CudaGraph::on, graph));
      EXPECT_FALSE(use_cuda_graph(CudaGraph::off, graph));
      EXPECT_EQ(use_cuda_graph(CudaGraph::automatic, graph), passed);
      const FusedOpsGuard off(FusedOps::off);
      EXPECT_FALSE(use_cuda_graph(CudaGraph::on, graph));
    }
  }
}

TEST(FusedOps, EveryKernelHasAName) {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < kCudaKernels; ++i) {
    EXPECT_TRUE(names.insert(name_of(static_cast<CudaKernel>(i))).second);
  }
  EXPECT_FALSE(names.contains(""));
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

}  // namespace
}  // namespace shine::test
