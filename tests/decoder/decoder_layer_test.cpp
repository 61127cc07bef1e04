#include "shine/decoder/decoder_layer.h"

#include <gtest/gtest.h>

#include <sstream>

#include "decoder/tiny_model.h"
#include "kernels/torch/attention.h"

namespace shine::test {
namespace {

const RowLayout kRows{{0, 3, 5}};

LayerPass pass_of(const DecoderConfig& config, at::ScalarType type) {
  return {pack_rows(kRows, AttentionLayout::per_row, at::kCPU, type, config.head_dim),
          make_rope_table(kRows.positions(at::kCPU), config.head_dim, config.rope_theta, type),
          {}};
}

void expect_training(const torch::nn::Module& module, bool training) {
  for (const auto& part : module.modules()) EXPECT_EQ(part->is_training(), training) << part->name();
}

/// clone, to, eval, train and printing do what a user of LibTorch expects of a part of the decoder.
/// @param line  of what is printed
template <class Part>
void expect_libtorch_module(Part part, const DecoderConfig& config, const std::string& line) {
  allocate_parameters(*part, at::kFloat);
  std::uint64_t seed = 10;
  for (const at::Tensor& parameter : part->parameters()) {
    set_values(parameter, random_tensor(parameter.sizes().vec(), ++seed));
  }
  const at::Tensor x = random_tensor({kRows.tokens(), config.hidden_size}, 1);
  const auto forward = [&](const auto& module, at::ScalarType type) {
    const at::NoGradGuard no_grad;
    return module.forward(x.to(type), nullptr, pass_of(config, type));
  };
  const at::Tensor expected = forward(*part, at::kFloat);

  const auto copy = std::dynamic_pointer_cast<typename Part::ContainedType>(part->clone());
  ASSERT_NE(copy, nullptr);
  EXPECT_TRUE(at::equal(forward(*copy, at::kFloat), expected));
  const auto own = trained_parameters(*part, ParameterGroup::backbone),
             copied = trained_parameters(*copy, ParameterGroup::backbone);
  ASSERT_EQ(copied.size(), own.size());
  for (std::size_t i = 0; i < own.size(); ++i) {
    EXPECT_EQ(copied[i].name, own[i].name);
    EXPECT_EQ(copied[i].decay, own[i].decay) << own[i].name;
  }
  for (const at::Tensor& parameter : copy->parameters()) set_values(parameter, at::zeros_like(parameter));
  EXPECT_FALSE(at::equal(forward(*copy, at::kFloat), expected)) << "it computes with what it has registered";
  EXPECT_TRUE(at::equal(forward(*part, at::kFloat), expected)) << "the copy has memory of its own";

  part->to(at::kDouble);
  const at::Tensor wide = forward(*part, at::kDouble);
  EXPECT_EQ(wide.scalar_type(), at::kDouble);
  EXPECT_LT(relative_error(expected, wide), 1e-5);

  part->eval();
  expect_training(*part, false);
  part->train();
  expect_training(*part, true);

  std::ostringstream printed;
  printed << *part;
  EXPECT_NE(printed.str().find(line), std::string::npos) << printed.str();
}

TEST(DecoderParts, AreLibTorchModules) {
  for (const DecoderConfig& config : {tiny_config(), tiny_biased_config()}) {
    expect_libtorch_module(Attention(config, 0), config, "(k_proj): Linear(16, 8");
    expect_libtorch_module(Mlp(config), config, "(down_proj): Linear(24, 16");
    expect_libtorch_module(DecoderLayer(config, 0), config, "(input_layernorm): RmsNorm(16, eps=");
  }
}

}  // namespace
}  // namespace shine::test
