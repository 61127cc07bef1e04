#pragma once

#include <ATen/Context.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>

#include "kernels/cuda/cuda_ops.h"
#include "shine/tensor/device.h"
#include "support/random_sizes.h"
#include "support/skip.h"
#include "support/tensor_match.h"

namespace shine::test {

/// Tests of what runs on a GPU; skipped where there is none. All kernels are on, and sizes are drawn.
class GpuTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!at::hasCUDA()) SHINE_SKIP("gpu", "no GPU");
    avoid_cudnn_attention();
  }

  /// Prints the worst difference that the test has seen.
  void TearDown() override {
    if (!worst_) return;
    const testing::TestInfo& test = *testing::UnitTest::GetInstance()->current_test_info();
    RecordProperty("worst_difference", str(*worst_));
    std::printf("worst difference %.2e of %s.%s\n", *worst_, test.test_suite_name(), test.name());
  }

  /// Remembers |found - expected| / (1 + |expected|) of the element where it is largest.
  void note_difference(const at::Tensor& found, const at::Tensor& expected) {
    if (!found.defined() || !expected.defined() || found.numel() == 0) return;
    const at::Tensor wanted = expected.detach().to(at::kDouble);
    const at::Tensor difference = (found.detach().to(at::kDouble) - wanted).abs() / (wanted.abs() + 1.0);
    worst_ = std::max(worst_.value_or(0.0), difference.nan_to_num(INFINITY).max().item<double>());
  }

  /// Sizes to draw; a failure says their seed.
  RandomSizes& draw() { return sizes_; }

  static at::Device gpu() { return {at::kCUDA, 0}; }

  /// The same function on the GPU, of inputs and with outputs on the CPU.
  static TensorFunction on_gpu(const TensorFunction& f) {
    return [f](const std::vector<at::Tensor>& inputs) {
      std::vector<at::Tensor> moved;
      for (const at::Tensor& input : inputs) moved.push_back(input.defined() ? input.to(gpu()) : input);
      return f(moved).to(at::kCPU);
    };
  }

  testing::AssertionResult agree_on_gpu(const TensorFunction& fused, const TensorFunction& reference,
                                        const std::vector<at::Tensor>& inputs, double tolerance) {
    note_difference(on_gpu(fused)(inputs), on_gpu(reference)(inputs));
    const auto found = gradients_of(on_gpu(fused), inputs), expected = gradients_of(on_gpu(reference), inputs);
    for (std::size_t i = 0; i < inputs.size(); ++i) note_difference(found[i], expected[i]);
    return forms_agree(on_gpu(fused), on_gpu(reference), inputs, tolerance);
  }

 private:
  RandomSizes sizes_;
  testing::ScopedTrace trace_{__FILE__, __LINE__, sizes_.hint()};
  FusedOpsGuard kernels_{FusedOps::on};
  std::optional<double> worst_;
};

}  // namespace shine::test
