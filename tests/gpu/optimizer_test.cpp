// AdamW by the GPU's kernels against LibTorch's operations on the same GPU.
#include <limits>

#include "gpu/gpu_test.h"
#include "shine/config/enum_names.h"
#include "shine/optim/adamw.h"

namespace shine::test {
namespace {

/// A tensor of more than one chunk, ones of odd sizes, one of one value; the same every time.
std::vector<std::vector<std::int64_t>> draw_shapes() {
  RandomSizes draw;
  return {{draw.odd(257, 400), draw.odd(65, 99)}, {draw.odd(3, 9), draw.odd(3, 9)}, {1}, {draw.odd(65, 999)}};
}

struct Training {
  const std::vector<std::vector<std::int64_t>> shapes = draw_shapes();
  std::vector<at::Tensor> parameters;
  std::unique_ptr<AdamW> optimizer;

  explicit Training(ClipKind clip) {
    OptimizerConfig config;
    config.clip = clip;
    config.clip_norm = 0.5;
    ParamGroup decayed{"decayed", 0.3, {}, {}}, undecayed{"undecayed", 0.0, {}, {}};
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      parameters.push_back(leaf(random_tensor(shapes[i], at::kFloat, i).to(at::Device(at::kCUDA, 0))));
      ParamGroup& group = i % 2 == 0 ? decayed : undecayed;
      group.names.push_back(std::string(1, static_cast<char>('a' + i)));
      group.tensors.push_back(parameters.back());
    }
    optimizer = std::make_unique<AdamW>(std::vector{decayed, undecayed}, config);
  }

  StepNorms step(std::uint64_t seed, double factor = 1.0) {
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      parameters[i].mutable_grad() =
          random_tensor(shapes[i], at::kFloat, seed * 100 + i).to(parameters[i].device()) * factor;
    }
    return optimizer->step(/*learning_rate=*/0.02, /*gradient_scale=*/0.25);
  }

  at::Tensor all() const {
    std::vector<at::Tensor> parts;
    for (const at::Tensor& parameter : parameters) parts.push_back(parameter.detach().flatten());
    for (const auto& [name, moment] : optimizer->state()) parts.push_back(moment.flatten());
    return at::cat(parts).to(at::kCPU);
  }
};

class GpuAdamW : public GpuTest, public testing::WithParamInterface<ClipKind> {};
INSTANTIATE_TEST_SUITE_P(Clips, GpuAdamW, testing::Values(ClipKind::global, ClipKind::per_group, ClipKind::none),
                         [](const auto& tested) { return std::string(enum_name(tested.param)); });

TEST_P(GpuAdamW, EqualsLibTorchsOperations) {
  Training fused(GetParam()), reference(GetParam());
  for (std::uint64_t step = 1; step <= 5; ++step) {
    const StepNorms norms = fused.step(step);
    const FusedOpsGuard off(FusedOps::off);
    const StepNorms expected = reference.step(step);
    EXPECT_NEAR(norms.global_norm, expected.global_norm, 1e-5 * expected.global_norm);
    for (std::size_t i = 0; i < 2; ++i) {
      EXPECT_NEAR(norms.group_norms[i], expected.group_norms[i], 1e-5 * expected.group_norms[i]);
    }
    EXPECT_TRUE(norms.finite);
    EXPECT_TRUE(tensors_match(fused.all(), reference.all(), 1e-5)) << step;
    note_difference(fused.all(), reference.all());
  }
  EXPECT_EQ(fused.optimizer->steps(), 5);
}

TEST_P(GpuAdamW, AGradientThatIsNotFiniteChangesNothing) {
  Training run(GetParam());
  run.step(1);
  const at::Tensor before = run.all();
  EXPECT_FALSE(run.step(2, std::numeric_limits<double>::quiet_NaN()).finite);
  EXPECT_FALSE(run.step(2, std::numeric_limits<double>::infinity()).finite);
  EXPECT_TRUE(at::equal(run.all(), before));
  EXPECT_EQ(run.optimizer->steps(), 1);
  EXPECT_TRUE(run.step(3).finite);
  EXPECT_FALSE(at::equal(run.all(), before));
}

TEST_P(GpuAdamW, StepsBetweenTheFormsGoOn) {
  Training mixed(GetParam()), reference(GetParam());
  for (std::uint64_t step = 1; step <= 4; ++step) {
    const FusedOpsGuard mode(step % 2 == 0 ? FusedOps::off : FusedOps::on);
    mixed.step(step);
    const FusedOpsGuard off(FusedOps::off);
    reference.step(step);
  }
  EXPECT_TRUE(tensors_match(mixed.all(), reference.all(), 1e-5));
}

TEST_P(GpuAdamW, HasTheSameBitsEveryTime) {
  Training first(GetParam()), second(GetParam());
  for (std::uint64_t step = 1; step <= 3; ++step) {
    first.step(step);
    second.step(step);
  }
  EXPECT_TRUE(at::equal(first.all(), second.all()));
}

}  // namespace
}  // namespace shine::test
