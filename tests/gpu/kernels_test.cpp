// Each GPU kernel against its plain twin, on the GPU, values and gradients.
#include <c10/core/InferenceMode.h>

#include "gpu/gpu_test.h"
#include "lora/small_spec.h"
#include "shine/lora/lora_layout.h"
#include "shine/ops/linear_cross_entropy.h"
#include "shine/ops/rms_norm.h"
#include "shine/ops/rotary.h"
#include "shine/ops/swiglu.h"

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
  void expect_taken(CudaKernel kernel) const {
    EXPECT_TRUE(takes_cuda_kernel(kernel, at::empty({1}, at::TensorOptions().dtype(type()).device(gpu()))));
  }
};
INSTANTIATE_TEST_SUITE_P(Types, GpuKernels, testing::Values(at::kFloat, at::kBFloat16),
                         [](const auto& tested) { return std::string(c10::toString(tested.param)); });

/// Short rows share a warp, long ones take a block; odd widths are read value by value.
const std::vector<Sizes> kRows{{5, 7},   {3, 2, 33}, {1, 1},      {0, 8},    {9, 16},
                               {4, 128}, {3, 1000},  {130, 1024}, {3, 4096}, {2, 5121}};

TEST_P(GpuKernels, RmsNorm) {
  expect_taken(CudaKernel::rms_norm);
  for (const Sizes& sizes : kRows) {
    const at::Tensor x = random(sizes, 1), weight = random({sizes.back()}, 2), frozen = weight.detach();
    EXPECT_TRUE(agree_on_gpu([](const Tensors& in) { return rms_norm(in[0], in[1], kEps); },
                             [](const Tensors& in) { return rms_norm_plain(in[0], in[1], kEps); }, {x, weight},
                             tolerance()))
        << x.sizes();
    EXPECT_TRUE(agree_on_gpu([](const Tensors& in) { return rms_norm(in[0], in[1], kEps); },
                             [](const Tensors& in) { return rms_norm_plain(in[0], in[1], kEps); }, {x, frozen},
                             tolerance()))
        << "frozen weight " << x.sizes();
  }
}

TEST_P(GpuKernels, RmsNormOfATransposedTensor) {
  const at::Tensor x = random({32, 6}, 1), weight = random({32}, 2);
  EXPECT_TRUE(agree_on_gpu([](const Tensors& in) { return rms_norm(in[0].t(), in[1], kEps); },
                           [](const Tensors& in) { return rms_norm_plain(in[0].t(), in[1], kEps); }, {x, weight},
                           tolerance()));
}

TEST_P(GpuKernels, AddRmsNorm) {
  const auto joined = [](const at::Tensor& sum, const at::Tensor& normed) { return at::cat({sum, normed}, -1); };
  for (const Sizes& sizes : kRows) {
    const at::Tensor x = random(sizes, 1), residual = random(sizes, 3), weight = random({sizes.back()}, 2);
    const auto fused = [&](const Tensors& in) {
      const AddedNorm both = add_rms_norm(in[0], in[1], in[2], kEps);
      return joined(both.sum, both.normed);
    };
    const auto plain = [&](const Tensors& in) {
      const at::Tensor sum = in[0] + in[1];
      return joined(sum, rms_norm_plain(sum, in[2], kEps));
    };
    EXPECT_TRUE(agree_on_gpu(fused, plain, {x, residual, weight}, tolerance())) << x.sizes();
    EXPECT_TRUE(agree_on_gpu([](const Tensors& in) { return add_rms_norm(in[0], in[1], in[2], kEps).normed; },
                             [](const Tensors& in) { return rms_norm_plain(in[0] + in[1], in[2], kEps); },
                             {x, residual, weight}, tolerance()))
        << "sum unused " << x.sizes();
    EXPECT_TRUE(agree_on_gpu([](const Tensors& in) { return add_rms_norm(in[0], in[1], in[2], kEps).sum; },
                             [](const Tensors& in) { return in[0] + in[1]; }, {x, residual, weight}, tolerance()))
        << "norm unused " << x.sizes();
  }
}

TEST_P(GpuKernels, WeightGradientsHaveTheSameBitsEveryTime) {
  const at::Tensor x = random({3000, 65}, 1), weight = random({65}, 2);
  const auto norm = on_gpu([](const Tensors& in) { return rms_norm(in[0], in[1], kEps); });
  EXPECT_TRUE(at::equal(gradients_of(norm, {x, weight})[1], gradients_of(norm, {x, weight})[1]));
}

RotaryTable table_of(std::int64_t tokens, std::int64_t d, const at::Tensor& like) {
  const at::Tensor positions = at::arange(tokens, at::TensorOptions().dtype(at::kLong)) * 7;
  return make_rotary_table(positions.to(like.device()), d, 1e4, like.scalar_type());
}

TEST_P(GpuKernels, Rotary) {
  expect_taken(CudaKernel::rotary);
  for (const Sizes& sizes : {Sizes{5, 3, 2}, {5, 3, 6}, {7, 2, 34}, {33, 4, 64}, {17, 8, 128}, {0, 2, 8}}) {
    EXPECT_TRUE(
        agree_on_gpu([&](const Tensors& in) { return rotary(in[0], table_of(sizes[0], sizes[2], in[0])); },
                     [&](const Tensors& in) { return rotary_plain(in[0], table_of(sizes[0], sizes[2], in[0])); },
                     {random(sizes, 1)}, tolerance()))
        << sizes[0] << " " << sizes[2];
  }
}

TEST_P(GpuKernels, NormRotary) {
  for (const Sizes& sizes :
       {Sizes{5, 3, 2}, {5, 3, 6}, {7, 2, 34}, {33, 4, 64}, {17, 8, 128}, {3, 2, 514}, {0, 2, 8}}) {
    for (const bool trained : {false, true}) {  // a trained weight goes the plain way
      const at::Tensor leaf_weight = random({sizes[2]}, 2), weight = trained ? leaf_weight : leaf_weight.detach();
      const auto plain = [&](const Tensors& in) {
        return rotary_plain(rms_norm_plain(in[0], in[1], kEps), table_of(sizes[0], sizes[2], in[0]));
      };
      const auto fused = [&](const Tensors& in) {
        return norm_rotary(in[0], in[1], table_of(sizes[0], sizes[2], in[0]), kEps);
      };
      EXPECT_TRUE(agree_on_gpu(fused, plain, {random(sizes, 1), weight}, tolerance())) << sizes[0] << " " << sizes[2];
    }
  }
}

TEST_P(GpuKernels, SwiGlu) {
  expect_taken(CudaKernel::swiglu);
  for (const Sizes& sizes : {Sizes{3, 7}, {1}, {2, 5, 9}, {0, 4}, {65, 1024}}) {
    EXPECT_TRUE(agree_on_gpu([](const Tensors& in) { return swiglu(in[0] * 4, in[1]); },
                             [](const Tensors& in) { return swiglu_plain(in[0] * 4, in[1]); },
                             {random(sizes, 1), random(sizes, 2)}, tolerance()))
        << sizes[0];
  }
}

TEST_P(GpuKernels, InferenceMode) {
  const c10::InferenceMode inference;
  const auto on_device = [&](const Sizes& sizes, std::uint64_t seed) {
    return random_tensor(sizes, type(), seed).to(gpu());
  };
  const at::Tensor x = on_device({9, 4, 64}, 1), weight = on_device({64}, 2);
  const RotaryTable table = table_of(9, 64, x);
  EXPECT_TRUE(tensors_match(rms_norm(x, weight, kEps), rms_norm_plain(x, weight, kEps), tolerance()));
  EXPECT_TRUE(tensors_match(rotary(x, table), rotary_plain(x, table), tolerance()));
  EXPECT_TRUE(tensors_match(norm_rotary(x, weight, table, kEps), rotary_plain(rms_norm_plain(x, weight, kEps), table),
                            tolerance()));
  EXPECT_TRUE(tensors_match(swiglu(x, x), swiglu_plain(x, x), tolerance()));
}

TEST_P(GpuKernels, LinearCrossEntropy) {
  expect_taken(CudaKernel::cross_entropy);
  for (const std::int64_t vocabulary : {5, 40, 1000, 4099, 151936}) {
    const std::int64_t rows = vocabulary > 100000 ? 130 : 11;  // more than one chunk
    const at::Tensor hidden = random({rows, 24}, 1), weight = random_tensor({vocabulary, 24}, type(), 2);
    const at::Tensor targets = at::arange(rows, at::TensorOptions().dtype(at::kLong)) * 7 % vocabulary;
    EXPECT_TRUE(
        agree_on_gpu([&](const Tensors& in) { return linear_cross_entropy(in[0], in[1], targets.to(gpu())); },
                     [&](const Tensors& in) { return linear_cross_entropy_plain(in[0], in[1], targets.to(gpu())); },
                     {hidden, weight}, tolerance()))
        << vocabulary;
  }
}

TEST_P(GpuKernels, ALogitThatIsNotANumberSpoilsItsRowAlone) {
  at::Tensor logits = random_tensor({3, 700}, type(), 1);
  logits[1][650] = std::numeric_limits<double>::quiet_NaN();
  const at::Tensor targets = at::tensor({0, 1, 2}, at::kLong);
  const at::Tensor losses = cuda_cross_entropy_(logits.to(gpu()), targets.to(gpu()), true).to(at::kCPU);
  EXPECT_TRUE(at::equal(losses.isfinite(), at::tensor({1, 0, 1}).to(at::kBool)));
}

TEST_P(GpuKernels, LoraFromVector) {
  expect_taken(CudaKernel::lora_slices);
  for (const LoraMethod method : {LoraMethod::rl, LoraMethod::rr, LoraMethod::lr, LoraMethod::ll}) {
    for (const bool biases : {false, true}) {
      const LoraLayout layout{small_spec(biases), 3, method, 0.25};
      const std::int64_t width = layout.spec.layers * (layout.spec.numel_per_layer(3) + 5);
      const auto values = [&](const auto& slice, bool all) {
        return [&slice, &layout, all](const Tensors& in) {
          LoraTree tree = slice(in[0], layout);
          Tensors parts;
          int number = 0;
          for_each_tensor(tree, [&](const std::string&, at::Tensor& tensor) {  // a gradient may be missing
            if (all || number++ % 2 == 0) parts.push_back(tensor.reshape({-1}));
          });
          return at::cat(parts);
        };
      };
      for (const bool all : {true, false}) {
        EXPECT_TRUE(agree_on_gpu(values(lora_from_vector, all), values(lora_from_vector_plain, all),
                                 {random({3, width}, 1)}, tolerance()));
      }
    }
  }
}

}  // namespace
}  // namespace shine::test
