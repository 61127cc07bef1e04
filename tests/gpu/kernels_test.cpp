// Each GPU kernel against its reference, on the GPU, values and gradients.
#include <c10/core/InferenceMode.h>

#include "gpu/gpu_test.h"
#include "kernels/torch/rope.h"
#include "ops/linear_cross_entropy.h"
#include "ops/rms_norm.h"
#include "ops/rope.h"
#include "ops/swiglu.h"

namespace shine::test {
namespace {

using Tensors = std::vector<at::Tensor>;
using Sizes = std::vector<std::int64_t>;

constexpr double kEps = 1e-6;

class GpuKernels : public GpuTest, public testing::WithParamInterface<at::ScalarType> {
 protected:
  at::ScalarType type() const { return GetParam(); }
  /// bfloat16 keeps 8 bits, and the forms round in different places.
  double tolerance() const { return type() == at::kFloat ? 2e-5 : 4e-2; }
  at::Tensor random(const Sizes& sizes, std::uint64_t seed) const { return random_leaf(sizes, type(), seed); }
  std::vector<Sizes> row_sizes() {
    std::vector<Sizes> all{{draw().any(1, 5), draw().any(1, 5), draw().odd(3, 63)}};
    for (const auto& [rows, width] : rows_of_every_kind(draw())) all.push_back({rows, width});
    return all;
  }
  std::vector<Sizes> head_sizes() {
    std::vector<Sizes> all;
    for (const auto& [tokens, heads, d] : heads_of_every_kind(draw())) all.push_back({tokens, heads, d});
    return all;
  }
  void expect_taken(CudaKernel kernel) const {
    EXPECT_TRUE(takes_cuda_kernel(kernel, at::empty({1}, at::TensorOptions().dtype(type()).device(gpu()))));
  }
};
INSTANTIATE_TEST_SUITE_P(Types, GpuKernels, testing::Values(at::kFloat, at::kBFloat16),
                         [](const auto& tested) { return std::string(c10::toString(tested.param)); });

TEST_P(GpuKernels, RmsNorm) {
  expect_taken(CudaKernel::rms_norm);
  for (const Sizes& sizes : row_sizes()) {
    const at::Tensor x = random(sizes, 1), weight = random({sizes.back()}, 2), frozen = weight.detach();
    EXPECT_TRUE(agree_on_gpu([](const Tensors& in) { return rms_norm(in[0], in[1], kEps); },
                             [](const Tensors& in) { return rms_norm_reference(in[0], in[1], kEps); }, {x, weight},
                             tolerance()))
        << x.sizes();
    EXPECT_TRUE(agree_on_gpu([](const Tensors& in) { return rms_norm(in[0], in[1], kEps); },
                             [](const Tensors& in) { return rms_norm_reference(in[0], in[1], kEps); }, {x, frozen},
                             tolerance()))
        << "frozen weight " << x.sizes();
  }
}

TEST_P(GpuKernels, RmsNormOfATransposedTensor) {
  const std::int64_t rows = draw().any(1, 9), width = draw().any(1, 64);
  const at::Tensor x = random({width, rows}, 1), weight = random({width}, 2);
  EXPECT_TRUE(agree_on_gpu([](const Tensors& in) { return rms_norm(in[0].t(), in[1], kEps); },
                           [](const Tensors& in) { return rms_norm_reference(in[0].t(), in[1], kEps); }, {x, weight},
                           tolerance()))
      << x.sizes();
}

TEST_P(GpuKernels, WeightGradientsHaveTheSameBitsEveryTime) {
  const std::int64_t rows = draw().any(2000, 4000), width = draw().odd(33, 99);
  const at::Tensor x = random({rows, width}, 1), weight = random({width}, 2);
  const auto norm = on_gpu([](const Tensors& in) { return rms_norm(in[0], in[1], kEps); });
  EXPECT_TRUE(at::equal(gradients_of(norm, {x, weight})[1], gradients_of(norm, {x, weight})[1])) << x.sizes();
}

RopeTable table_of(std::int64_t tokens, std::int64_t d, const at::Tensor& like) {
  const at::Tensor positions = at::arange(tokens, at::TensorOptions().dtype(at::kLong)) * 7;
  return make_rope_table(positions.to(like.device()), d, 1e4, like.scalar_type());
}

TEST_P(GpuKernels, Rope) {
  expect_taken(CudaKernel::rope);
  for (const Sizes& sizes : head_sizes()) {
    EXPECT_TRUE(agree_on_gpu(
        [&](const Tensors& in) { return apply_rope(in[0], table_of(sizes[0], sizes[2], in[0])); },
        [&](const Tensors& in) { return apply_rope_reference(in[0], table_of(sizes[0], sizes[2], in[0])); },
        {random(sizes, 1)}, tolerance()))
        << at::IntArrayRef(sizes);
  }
}

TEST_P(GpuKernels, NormRope) {
  for (const Sizes& sizes : head_sizes()) {
    for (const bool trained : {false, true}) {  // a trained weight takes the reference
      const at::Tensor leaf_weight = random({sizes[2]}, 2), weight = trained ? leaf_weight : leaf_weight.detach();
      const auto reference = [&](const Tensors& in) {
        return apply_rope_reference(rms_norm_reference(in[0], in[1], kEps), table_of(sizes[0], sizes[2], in[0]));
      };
      const auto fused = [&](const Tensors& in) {
        return torch_kernels::norm_rope(in[0], in[1], table_of(sizes[0], sizes[2], in[0]), kEps);
      };
      EXPECT_TRUE(agree_on_gpu(fused, reference, {random(sizes, 1), weight}, tolerance())) << at::IntArrayRef(sizes);
    }
  }
}

TEST_P(GpuKernels, SwiGlu) {
  expect_taken(CudaKernel::swiglu);
  const std::vector<Sizes> all{{draw().odd(3, 9), draw().odd(3, 99)},
                               {draw().any(1, 9), draw().multiple_of(8, 8, 1024)},
                               {draw().any(33, 99), draw().odd(257, 1023)},
                               {draw().any(1, 5), draw().any(1, 5), draw().any(1, 33)},
                               {1},
                               {0, draw().any(1, 9)}};
  for (const Sizes& sizes : all) {
    EXPECT_TRUE(agree_on_gpu([](const Tensors& in) { return swiglu(in[0] * 4, in[1]); },
                             [](const Tensors& in) { return swiglu_reference(in[0] * 4, in[1]); },
                             {random(sizes, 1), random(sizes, 2)}, tolerance()))
        << at::IntArrayRef(sizes);
  }
}

TEST_P(GpuKernels, InferenceMode) {
  const c10::InferenceMode inference;
  const auto on_device = [&](const Sizes& sizes, std::uint64_t seed) {
    return random_tensor(sizes, type(), seed).to(gpu());
  };
  const std::int64_t tokens = draw().any(1, 33), d = 2 * draw().any(1, 64);
  const at::Tensor x = on_device({tokens, draw().any(1, 8), d}, 1), weight = on_device({d}, 2);
  SCOPED_TRACE(testing::Message() << x.sizes());
  const RopeTable table = table_of(tokens, d, x);
  EXPECT_TRUE(tensors_match(rms_norm(x, weight, kEps), rms_norm_reference(x, weight, kEps), tolerance()));
  EXPECT_TRUE(tensors_match(apply_rope(x, table), apply_rope_reference(x, table), tolerance()));
  EXPECT_TRUE(tensors_match(torch_kernels::norm_rope(x, weight, table, kEps),
                            apply_rope_reference(rms_norm_reference(x, weight, kEps), table), tolerance()));
  EXPECT_TRUE(tensors_match(swiglu(x, x), swiglu_reference(x, x), tolerance()));
}

TEST_P(GpuKernels, LinearCrossEntropy) {
  expect_taken(CudaKernel::cross_entropy);
  for (const std::int64_t vocabulary : {draw().odd(3, 99), draw().multiple_of(8, 8, 1024), draw().odd(1025, 8191),
                                        draw().multiple_of(8, 2048, 16384), std::int64_t{151936}}) {
    const bool chunks = vocabulary > 100000;  // more than one
    const std::int64_t rows = chunks ? 130 : draw().any(1, 19), width = chunks ? 24 : draw().multiple_of(8, 8, 24);
    const at::Tensor hidden = leaf(0.3 * random({rows, width}, 1)),
                     weight = random_tensor({vocabulary, width}, type(), 2);
    const at::Tensor targets = at::arange(rows, at::TensorOptions().dtype(at::kLong)) * 7 % vocabulary;
    EXPECT_TRUE(
        agree_on_gpu([&](const Tensors& in) { return linear_cross_entropy(in[0], in[1], targets.to(gpu())); },
                     [&](const Tensors& in) { return linear_cross_entropy_reference(in[0], in[1], targets.to(gpu())); },
                     {hidden, weight}, tolerance()))
        << hidden.sizes() << " to " << vocabulary;
  }
}

TEST_P(GpuKernels, ALogitThatIsNotANumberSpoilsItsRowAlone) {
  const std::int64_t vocabulary = draw().any(3, 5000), place = draw().any(1, vocabulary) - 1;
  SCOPED_TRACE(testing::Message() << vocabulary << " logits, not a number: " << place);
  at::Tensor logits = random_tensor({3, vocabulary}, type(), 1);
  logits[1][place] = std::numeric_limits<double>::quiet_NaN();
  const at::Tensor targets = at::tensor({0, 1, 2}, at::kLong);
  const at::Tensor losses = cuda_cross_entropy_(logits.to(gpu()), targets.to(gpu()), true).to(at::kCPU);
  EXPECT_TRUE(at::equal(losses.isfinite(), at::tensor({1, 0, 1}).to(at::kBool)));
}

}  // namespace
}  // namespace shine::test
