// Oracle: torch.optim.AdamW, see scripts/fixtures/make_adamw_golden.py.
#include "shine/optim/adamw.h"

#include <limits>

#include "shine/common/error.h"
#include "shine/io/safetensors.h"
#include "shine/tensor/torch_tensor.h"
#include "support/paths.h"
#include "support/tensor_match.h"

namespace shine::test {
namespace {

constexpr std::int64_t kSteps = 10;
const std::vector<std::string> kNames{"first", "second", "third"};

struct Golden {
  SafetensorsFile file{golden_dir() / "optim" / "adamw.safetensors"};
  at::Tensor operator()(const std::string& name) const { return to_tensor(file.tensor(name)).clone(); }
};

double learning_rate(std::int64_t step) {
  return 0.02 * static_cast<double>(1 + step % 3);
}

/// The golden run's parameters under our optimizer.
struct Training {
  const Golden golden;
  std::map<std::string, at::Tensor> parameters;
  AdamW optimizer;

  explicit Training(ClipKind clip) : optimizer(make_groups(), make_config(clip)) {}

  static OptimizerConfig make_config(ClipKind clip) {
    OptimizerConfig config;
    config.beta1 = 0.8;
    config.beta2 = 0.95;
    config.epsilon = 1e-6;
    config.clip = clip;
    config.clip_norm = 2.0;
    return config;
  }

  std::vector<ParamGroup> make_groups() {
    for (const std::string& name : kNames) parameters[name] = leaf(golden("start." + name));
    return {{"decayed", 0.3, {"first", "second"}, {parameters["first"], parameters["second"]}},
            {"undecayed", 0.0, {"third"}, {parameters["third"]}}};
  }

  void set_gradients(std::int64_t step, double factor = 1.0) {
    for (auto& [name, tensor] : parameters) tensor.mutable_grad() = golden("gradient." + name)[step].clone() * factor;
  }

  StepNorms step(std::int64_t step, double factor = 1.0, double scale = 1.0) {
    set_gradients(step, factor);
    return optimizer.step(learning_rate(step), scale);
  }

  /// Deep copies of everything that a step changes.
  std::vector<at::Tensor> snapshot() const {
    std::vector<at::Tensor> all;
    for (const auto& [name, tensor] : parameters) all.push_back(tensor.detach().clone());
    for (const auto& [name, tensor] : optimizer.state()) all.push_back(tensor.clone());
    return all;
  }
};

bool bit_equal(const std::vector<at::Tensor>& first, const std::vector<at::Tensor>& second) {
  return std::equal(first.begin(), first.end(), second.begin(), second.end(),
                    [](const at::Tensor& x, const at::Tensor& y) { return at::equal(x, y); });
}

class AdamWGolden : public testing::TestWithParam<std::pair<ClipKind, const char*>> {};

TEST_P(AdamWGolden, TenStepsOfPyTorch) {
  const auto [clip, prefix] = GetParam();
  Training run(clip);
  for (std::int64_t step = 0; step < kSteps; ++step) {
    EXPECT_TRUE(run.step(step).finite);
    for (const std::string& name : kNames) {
      EXPECT_TRUE(tensors_match(run.parameters[name], run.golden(str(prefix, ".", name))[step], 2e-6))
          << name << " after step " << step;
    }
  }
  EXPECT_EQ(run.optimizer.steps(), kSteps);
}

INSTANTIATE_TEST_SUITE_P(Clip, AdamWGolden,
                         testing::Values(std::pair{ClipKind::none, "none"}, std::pair{ClipKind::global, "global"},
                                         std::pair{ClipKind::per_group, "per_group"}),
                         [](const auto& tested) { return std::string(tested.param.second); });

TEST(AdamW, ReportsNormsBeforeClipping) {
  Training run(ClipKind::global);
  const StepNorms norms = run.step(1);
  const auto square = [&](const std::string& name) {
    return run.golden("gradient." + name)[1].to(at::kDouble).square().sum().item<double>();
  };
  const double first = square("first"), second = square("second"), third = square("third");
  EXPECT_GT(norms.global_norm, 2.0) << "this step must be one that is clipped";
  EXPECT_NEAR(norms.global_norm, std::sqrt(first + second + third), 1e-5);
  ASSERT_EQ(norms.group_norms.size(), 2U);
  EXPECT_NEAR(norms.group_norms[0], std::sqrt(first + second), 1e-5);
  EXPECT_NEAR(norms.group_norms[1], std::sqrt(third), 1e-5);
  ASSERT_EQ(norms.tensor_norms[0].size(), 2U);
  EXPECT_NEAR(norms.tensor_norms[0][1], std::sqrt(second), 1e-5);
  // The gradients themselves are clipped in place.
  double left = 0.0;
  for (const auto& [name, tensor] : run.parameters) left += tensor.grad().square().sum().item<double>();
  EXPECT_NEAR(std::sqrt(left), 2.0, 1e-4);
}

TEST(AdamW, GradientScaleMultipliesBeforeClipping) {
  for (const auto clip : {ClipKind::none, ClipKind::global, ClipKind::per_group}) {
    Training scaled(clip), plain(clip);
    for (std::int64_t step = 0; step < kSteps; ++step) {
      const StepNorms norms = scaled.step(step, /*factor=*/0.25, /*scale=*/4.0);
      EXPECT_NEAR(norms.global_norm, plain.step(step).global_norm, 1e-4);
    }
    for (const std::string& name : kNames) {
      EXPECT_TRUE(tensors_match(scaled.parameters[name], plain.parameters[name], 1e-5)) << name;
    }
  }
}

TEST(AdamW, AGradientThatIsNotFiniteChangesNothing) {
  for (const auto clip : {ClipKind::none, ClipKind::global, ClipKind::per_group}) {
    for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
      Training run(clip);
      run.step(0);
      const auto before = run.snapshot();
      run.set_gradients(1);
      run.parameters["third"].mutable_grad()[0][1] = bad;
      EXPECT_FALSE(run.optimizer.step(0.1).finite);
      EXPECT_TRUE(bit_equal(run.snapshot(), before));
      EXPECT_EQ(run.optimizer.steps(), 1);
      // The next step continues as if the bad one had not happened.
      Training same(clip);
      same.step(0);
      run.step(2);
      same.step(2);
      EXPECT_TRUE(bit_equal(run.snapshot(), same.snapshot()));
    }
  }
}

TEST(AdamW, AMissingGradientCountsAsZero) {
  Training missing(ClipKind::none), zero(ClipKind::none);
  missing.set_gradients(0);
  missing.parameters["second"].mutable_grad() = at::Tensor();
  zero.set_gradients(0);
  zero.parameters["second"].mutable_grad().zero_();
  EXPECT_EQ(missing.optimizer.step(0.1).tensor_norms[0][1], 0.0);
  zero.optimizer.step(0.1);
  EXPECT_TRUE(bit_equal(missing.snapshot(), zero.snapshot()));
}

TEST(AdamW, ZeroGradientsKeepsTheBuffers) {
  Training run(ClipKind::none);
  const void* buffer = run.parameters["first"].grad().const_data_ptr();
  run.parameters["first"].mutable_grad().fill_(3.0);
  run.parameters["second"].mutable_grad() = at::ones_like(run.parameters["second"]);
  run.parameters["third"].mutable_grad() = at::Tensor();
  run.optimizer.zero_gradients();
  for (const std::string& name : kNames) EXPECT_EQ(run.parameters[name].grad().abs().max().item<double>(), 0.0) << name;
  EXPECT_EQ(run.parameters["first"].grad().const_data_ptr(), buffer);
}

std::map<std::string, at::Tensor> copied_state(const AdamW& optimizer) {
  std::map<std::string, at::Tensor> state;
  for (const auto& [name, tensor] : optimizer.state()) state[name] = tensor.clone();
  return state;
}

TEST(AdamW, ContinuesBitEqualFromItsState) {
  for (const auto clip : {ClipKind::global, ClipKind::per_group}) {
    Training whole(clip), resumed(clip);
    for (std::int64_t step = 0; step < 4; ++step) whole.step(step);
    {
      const at::NoGradGuard no_grad;
      for (auto& [name, tensor] : resumed.parameters) tensor.copy_(whole.parameters[name]);
    }
    resumed.optimizer.load_state(copied_state(whole.optimizer), whole.optimizer.steps());
    EXPECT_EQ(resumed.optimizer.steps(), 4);
    for (std::int64_t step = 4; step < kSteps; ++step) {
      whole.step(step);
      resumed.step(step);
      EXPECT_TRUE(bit_equal(whole.snapshot(), resumed.snapshot())) << step;
    }
  }
}

TEST(AdamW, StateNamesEveryMoment) {
  Training run(ClipKind::none);
  std::vector<std::string> names;
  for (const auto& [name, tensor] : run.optimizer.state()) {
    names.push_back(name);
    EXPECT_EQ(tensor.scalar_type(), at::kFloat);
    EXPECT_FALSE(tensor.requires_grad());
  }
  EXPECT_EQ(names, (std::vector<std::string>{"exp_avg.first", "exp_avg_sq.first", "exp_avg.second", "exp_avg_sq.second",
                                             "exp_avg.third", "exp_avg_sq.third"}));
}

TEST(AdamW, RefusesAForeignStateAndKeepsItsOwn) {
  Training run(ClipKind::none);
  run.step(0);
  const auto before = run.snapshot();
  auto source = copied_state(run.optimizer);
  for (auto& [name, tensor] : source) tensor.fill_(9.0);
  const auto refused = [&](const auto& spoil) {
    auto state = source;
    spoil(state);
    EXPECT_THROW(run.optimizer.load_state(state, 5), FormatError);
    EXPECT_TRUE(bit_equal(run.snapshot(), before));
    EXPECT_EQ(run.optimizer.steps(), 1);
  };
  refused([](auto& state) { state.erase("exp_avg.third"); });
  refused([](auto& state) { state["exp_avg.fourth"] = at::zeros({1}); });
  refused([](auto& state) { state["exp_avg_sq.third"] = at::zeros({3, 2}); });
  refused([](auto& state) {
    state.erase("exp_avg_sq.third");
    state["exp_avg.fourth"] = at::zeros({2, 3});
  });
}

}  // namespace
}  // namespace shine::test
