#include "ops/lora_linear.h"

#include "shine/common/error.h"
#include "support/gradient_check.h"

namespace shine::test {
namespace {

struct Case {
  const char* name;
  std::vector<std::int64_t> spans;
  bool bias;
  bool c;
};

const std::vector<Case> kCases{
    {"one adapter", {0, 5}, false, false},       {"one adapter, bias, C", {0, 5}, true, true},
    {"three spans", {0, 2, 3, 7}, false, false}, {"three spans, bias, C", {0, 2, 3, 7}, true, true},
    {"empty first span", {0, 0, 4}, true, true}, {"empty middle span", {0, 3, 3, 5}, false, true},
    {"empty last span", {0, 4, 4}, true, false}, {"no tokens", {0, 0}, false, false},
};

constexpr std::int64_t kIn = 5, kOut = 7, kRank = 3;

/// x, A, B and C (undefined without): the operands that get gradients.
std::vector<at::Tensor> trained(const Case& c, at::ScalarType x_type, at::ScalarType lora_type) {
  const auto adapters = static_cast<std::int64_t>(c.spans.size()) - 1;
  return {random_leaf({c.spans.back(), kIn}, x_type, 1), random_leaf({adapters, kIn, kRank}, lora_type, 2),
          random_leaf({adapters, kRank, kOut}, lora_type, 3),
          c.c ? random_leaf({adapters, kOut}, lora_type, 4) : at::Tensor()};
}

LoraLinearInput operands(const Case& c, const std::vector<at::Tensor>& in) {
  const auto type = in[0].scalar_type();
  return {in[0],
          random_tensor({kOut, kIn}, type, 5),
          c.bias ? random_tensor({kOut}, type, 6) : at::Tensor(),
          in[1],
          in[2],
          in[3],
          c.spans};
}

TensorFunction form(const Case& c, bool fused) {
  return [c, fused](const std::vector<at::Tensor>& in) {
    return fused ? lora_linear(operands(c, in)) : lora_linear_reference(operands(c, in));
  };
}

TEST(LoraLinear, FormsAgree) {
  for (const Case& c : kCases) {
    EXPECT_TRUE(forms_agree(form(c, true), form(c, false), trained(c, at::kDouble, at::kDouble), 1e-12)) << c.name;
    EXPECT_TRUE(forms_agree(form(c, true), form(c, false), trained(c, at::kFloat, at::kFloat), 1e-5)) << c.name;
    // bfloat16 rounds sums of up to seven products of size 1 at 2^-9 each time.
    EXPECT_TRUE(forms_agree(form(c, true), form(c, false), trained(c, at::kBFloat16, at::kFloat), 4e-2, 1.2e-2))
        << c.name;
  }
}

TEST(LoraLinear, GradientMatchesDifferences) {
  for (const Case& c : kCases) {
    EXPECT_TRUE(gradients_match_differences(form(c, true), trained(c, at::kDouble, at::kDouble))) << c.name;
  }
}

TEST(LoraLinear, GradientsOfAnyPartAlone) {
  const Case c{"", {0, 2, 3, 7}, true, true};
  for (std::size_t only = 0; only < 4; ++only) {
    auto inputs = trained(c, at::kDouble, at::kDouble);
    for (std::size_t i = 0; i < 4; ++i) inputs[i].requires_grad_(i == only);
    EXPECT_TRUE(gradients_match_differences(form(c, true), inputs)) << only;
  }
}

TEST(LoraLinear, GradientsHaveTheTypeOfTheirTensors) {
  const Case c{"", {0, 2, 5}, false, true};
  const auto gradients = gradients_of(form(c, true), trained(c, at::kBFloat16, at::kFloat));
  EXPECT_EQ(gradients[0].scalar_type(), at::kBFloat16);
  for (std::size_t i = 1; i < 4; ++i) EXPECT_EQ(gradients[i].scalar_type(), at::kFloat) << i;
}

TEST(LoraLinear, AcceptsStridedOperands) {
  const Case c{"", {0, 2, 5}, true, false};
  const TensorFunction strided = [&](const auto& in) {
    LoraLinearInput input = operands(c, in);
    input.x = input.x.t().contiguous().t();
    input.a = input.a.transpose(1, 2).contiguous().transpose(1, 2);
    return lora_linear(input).t();
  };
  const TensorFunction reference = [&](const auto& in) { return lora_linear_reference(operands(c, in)).t(); };
  EXPECT_TRUE(forms_agree(strided, reference, trained(c, at::kDouble, at::kDouble), 1e-12));
}

TEST(LoraLinear, RefusesOperandsThatDoNotFit) {
  const Case c{"", {0, 2, 5}, true, true};
  const auto inputs = trained(c, at::kFloat, at::kFloat);
  const auto refused = [&](const std::function<void(LoraLinearInput&)>& spoil) {
    LoraLinearInput input = operands(c, inputs);
    spoil(input);
    EXPECT_THROW(lora_linear(input), ShapeError);
    EXPECT_THROW(lora_linear_reference(input), ShapeError);
  };
  refused([](LoraLinearInput& in) { in.x = at::ones({5, kIn + 1}); });
  refused([](LoraLinearInput& in) { in.x = at::ones({6, kIn}); });
  refused([](LoraLinearInput& in) { in.x = at::ones({1, 5, kIn}); });
  refused([](LoraLinearInput& in) { in.a = at::ones({2, kIn, kRank + 1}); });
  refused([](LoraLinearInput& in) { in.a = at::ones({1, kIn, kRank}); });
  refused([](LoraLinearInput& in) { in.b = at::ones({2, kRank, kOut + 1}); });
  refused([](LoraLinearInput& in) { in.b = at::ones({2, kOut, kRank}); });
  refused([](LoraLinearInput& in) { in.bias = at::ones({kOut + 1}); });
  refused([](LoraLinearInput& in) { in.bias = at::ones({1}); });
  refused([](LoraLinearInput& in) { in.c = at::ones({1, kOut}); });
  refused([](LoraLinearInput& in) { in.c = at::ones({2, 1}); });
  refused([](LoraLinearInput& in) { in.spans = {0, 5}; });
  refused([](LoraLinearInput& in) { in.spans = {0, 2, 4}; });
  refused([](LoraLinearInput& in) { in.spans = {1, 2, 5}; });
  refused([](LoraLinearInput& in) { in.spans = {0, 7, 5}; });
  refused([](LoraLinearInput& in) { in.spans = {}; });
}

}  // namespace
}  // namespace shine::test
