#include "ops/kernel_checks.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <set>
#include <stdexcept>

#include "ops/kernel_verdicts.h"
#include "support/paths.h"

namespace shine::test {
namespace {

/// Checks that say what they are told, and count how often.
class KernelChecks : public testing::Test {
 protected:
  void TearDown() override {
    for (std::size_t i = 0; i < kCudaKernels; ++i) set_passed(static_cast<CudaKernel>(i), false);
  }
  KernelCheck check(CudaKernel kernel, bool agrees) {
    return {kernel, [this, agrees](at::Device) {
              ++made_;
              return agrees;
            }};
  }
  std::string run(const std::vector<KernelCheck>& checks, const std::string& key = "gpu") {
    KernelVerdicts verdicts(folder_.path() / "cache/shine/kernels", key);
    testing::internal::CaptureStderr();
    run_kernel_checks(checks, at::kCPU, verdicts);
    return testing::internal::GetCapturedStderr();
  }

  TemporaryFolder folder_;
  int made_ = 0;
};

TEST_F(KernelChecks, OneThatFailsOrThrowsIsOffAndTheOthersAreOn) {
  const KernelCheck broken{CudaKernel::swiglu, [](at::Device) -> bool { throw std::runtime_error("no image\ntrace"); }};
  const std::string said =
      run({check(CudaKernel::rope, true), check(CudaKernel::rms_norm, false), broken, check(CudaKernel::adamw, true)});
  EXPECT_TRUE(has_passed(CudaKernel::rope));
  EXPECT_TRUE(has_passed(CudaKernel::adamw));
  EXPECT_FALSE(has_passed(CudaKernel::rms_norm));
  EXPECT_FALSE(has_passed(CudaKernel::swiglu));
  EXPECT_FALSE(has_passed(CudaKernel::cross_entropy)) << "not checked";
  for (const char* line :
       {"agree with their references on cpu: rotary embedding, AdamW\n",
        "that are off, because their check failed: RMSNorm, SwiGLU\n", "SwiGLU: its check failed: no image\n"}) {
    EXPECT_NE(said.find(line), std::string::npos) << said;
  }
}

TEST_F(KernelChecks, WhatPassedIsNotCheckedAgainByTheSameBuildOnTheSameGpu) {
  const std::vector<KernelCheck> checks{check(CudaKernel::rope, true), check(CudaKernel::rms_norm, false)};
  run(checks);
  EXPECT_EQ(made_, 2);
  set_passed(CudaKernel::rope, false);
  run(checks);
  EXPECT_EQ(made_, 3) << "the one that failed";
  EXPECT_TRUE(has_passed(CudaKernel::rope));
  run(checks, "another");
  EXPECT_EQ(made_, 5);
  write_bytes(folder_.path() / "cache/shine/kernels", std::string("gpu rotary\0embedding\n\n", 22));
  run(checks);
  EXPECT_EQ(made_, 7) << "a file of other text";
}

TEST_F(KernelChecks, AFileThatCannotBeWrittenOnlyCostsTime) {
  write_bytes(folder_.path() / "cache", "a file");
  run({check(CudaKernel::rope, true)});
  EXPECT_TRUE(has_passed(CudaKernel::rope));
  run({check(CudaKernel::rope, true)});
  EXPECT_EQ(made_, 2);
}

TEST_F(KernelChecks, ThereIsOneForEveryKernel) {
  std::set<CudaKernel> kernels;
  for (const KernelCheck& each : cuda_kernel_checks()) EXPECT_TRUE(kernels.insert(each.kernel).second);
  EXPECT_EQ(kernels.size(), kCudaKernels);
}

/// The graphs run their parts without capture on a CPU, and the rest takes LibTorch's operations: the comparisons
/// themselves hold.
TEST_F(KernelChecks, HoldForTheReferencesThemselves) {
  for (const KernelCheck& each : cuda_kernel_checks()) {
    if (each.kernel == CudaKernel::adamw || each.kernel == CudaKernel::gradient_norm) continue;  // GPU kernels alone
    EXPECT_TRUE(each.agrees(at::kCPU)) << name_of(each.kernel);
  }
}

TEST_F(KernelChecks, ACpuNeedsNone) {
  EXPECT_EQ(open_device("cpu"), at::Device(at::kCPU));
  EXPECT_FALSE(has_passed(CudaKernel::rope));
}

}  // namespace
}  // namespace shine::test
