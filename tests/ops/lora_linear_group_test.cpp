#include "shine/ops/lora_linear_group.h"

#include "shine/common/error.h"
#include "support/gradient_check.h"

namespace shine::test {
namespace {

using Tensors = std::vector<at::Tensor>;

struct Case {
  const char* name;
  std::vector<std::int64_t> spans;
  std::vector<bool> biased;  ///< of each map: bias and C
};

const std::vector<Case> kCases{
    {"one adapter", {0, 5}, {false, false, false}},
    {"one adapter, biases", {0, 5}, {true, false, true}},
    {"three spans", {0, 2, 3, 7}, {false, false}},
    {"three spans, biases", {0, 2, 3, 7}, {true, false, true}},
    {"empty first span", {0, 0, 4}, {true, true}},
    {"empty last span", {0, 4, 4}, {true, false}},
    {"one map", {0, 2, 3}, {true}},
    {"no tokens", {0, 0}, {false, true}},
};

constexpr std::int64_t kIn = 5;

/// x, then A, B and C of each map, of different ranks and widths; C undefined where the map has none.
Tensors trained(const Case& c, at::ScalarType x_type, at::ScalarType lora_type) {
  const auto adapters = static_cast<std::int64_t>(c.spans.size()) - 1;
  Tensors all{random_leaf({c.spans.back(), kIn}, x_type, 1)};
  for (std::size_t m = 0; m < c.biased.size(); ++m) {
    const auto number = static_cast<std::int64_t>(m);
    all.push_back(random_leaf({adapters, kIn, 2 + number}, lora_type, 2 + 10 * m));
    all.push_back(random_leaf({adapters, 2 + number, 6 - number}, lora_type, 3 + 10 * m));
    all.push_back(c.biased[m] ? random_leaf({adapters, 6 - number}, lora_type, 4 + 10 * m) : at::Tensor());
  }
  return all;
}

LoraLinearGroupInput operands(const Case& c, const Tensors& in) {
  LoraLinearGroupInput result{in[0], {}, c.spans, {}};
  for (std::size_t m = 0; m < c.biased.size(); ++m) {
    const std::int64_t out = 6 - static_cast<std::int64_t>(m);
    result.maps.push_back({random_tensor({out, kIn}, in[0].scalar_type(), 50 + m),
                           c.biased[m] ? random_tensor({out}, in[0].scalar_type(), 60 + m) : at::Tensor(),
                           in[1 + 3 * m], in[2 + 3 * m], in[3 + 3 * m]});
  }
  return result;
}

TensorFunction form(const Case& c, std::optional<AdapterProducts> products) {
  return [c, products](const Tensors& in) {
    const LoraLinearGroupInput input = operands(c, in);
    return at::cat(products ? lora_linear_group(input, *products) : lora_linear_group_plain(input), 1);
  };
}

constexpr std::array kProducts{AdapterProducts::per_adapter, AdapterProducts::masked};

TEST(LoraLinearGroup, FormsAgree) {
  for (const AdapterProducts products : kProducts) {
    for (const Case& c : kCases) {
      EXPECT_TRUE(forms_agree(form(c, products), form(c, {}), trained(c, at::kDouble, at::kDouble), 1e-12)) << c.name;
      EXPECT_TRUE(forms_agree(form(c, products), form(c, {}), trained(c, at::kFloat, at::kFloat), 1e-5)) << c.name;
      EXPECT_TRUE(forms_agree(form(c, products), form(c, {}), trained(c, at::kBFloat16, at::kFloat), 6e-2)) << c.name;
    }
  }
}

TEST(LoraLinearGroup, GradientMatchesDifferences) {
  for (const AdapterProducts products : kProducts) {
    for (const Case& c : kCases) {
      EXPECT_TRUE(gradients_match_differences(form(c, products), trained(c, at::kDouble, at::kDouble))) << c.name;
    }
  }
}

TEST(LoraLinearGroup, GradientsOfAnyPartAlone) {
  const Case c{"", {0, 2, 3, 7}, {true, true}};
  for (const AdapterProducts products : kProducts) {
    Tensors inputs = trained(c, at::kDouble, at::kDouble);
    for (std::size_t only = 0; only < inputs.size(); ++only) {
      for (std::size_t i = 0; i < inputs.size(); ++i) inputs[i].requires_grad_(i == only);
      EXPECT_TRUE(gradients_match_differences(form(c, products), inputs)) << only;
    }
  }
}

TEST(LoraLinearGroup, AnOutputMayBeUnused) {
  const Case c{"", {0, 2, 3, 7}, {true, false}};
  for (const AdapterProducts products : kProducts) {
    for (const std::size_t used : {0U, 1U}) {
      const auto one = [&](const Tensors& in) { return lora_linear_group(operands(c, in), products)[used]; };
      const auto plain = [&](const Tensors& in) { return lora_linear_group_plain(operands(c, in))[used]; };
      EXPECT_TRUE(forms_agree(one, plain, trained(c, at::kDouble, at::kDouble), 1e-12)) << used;
    }
  }
}

TEST(LoraLinearGroup, TheTokensAdaptersMayBeGiven) {
  const Case c{"", {0, 2, 2, 7}, {true, false}};
  const Tensors in = trained(c, at::kDouble, at::kDouble);
  LoraLinearGroupInput input = operands(c, in);
  input.adapter_of_token = adapter_of_token(c.spans, at::kCPU);
  EXPECT_TRUE(at::equal(input.adapter_of_token, at::tensor({0, 0, 2, 2, 2, 2, 2}, at::kLong)));
  EXPECT_TRUE(tensors_match(at::cat(lora_linear_group(input, AdapterProducts::masked), 1), form(c, {})(in), 1e-12));
}

TEST(LoraLinearGroup, GradientsHaveTheTypeOfTheirTensors) {
  const Case c{"", {0, 2, 5}, {true}};
  for (const AdapterProducts products : kProducts) {
    const auto gradients = gradients_of(form(c, products), trained(c, at::kBFloat16, at::kFloat));
    EXPECT_EQ(gradients[0].scalar_type(), at::kBFloat16);
    for (std::size_t i = 1; i < 4; ++i) EXPECT_EQ(gradients[i].scalar_type(), at::kFloat) << i;
  }
}

TEST(LoraLinearGroup, RefusesOperandsThatDoNotFit) {
  const Case c{"", {0, 2, 5}, {false, false}};
  LoraLinearGroupInput input = operands(c, trained(c, at::kFloat, at::kFloat));
  input.adapter_of_token = at::zeros({3}, at::kLong);
  EXPECT_THROW(lora_linear_group(input), ShapeError);
  input.adapter_of_token = at::Tensor();
  input.maps[1].b = random_tensor({2, 2, 4}, at::kFloat);
  EXPECT_THROW(lora_linear_group(input), ShapeError);
  input.maps.clear();
  EXPECT_THROW(lora_linear_group(input), ShapeError);
}

}  // namespace
}  // namespace shine::test
