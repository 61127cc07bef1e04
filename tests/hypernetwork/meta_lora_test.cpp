#include "shine/hypernetwork/meta_lora.h"

#include <gtest/gtest.h>

#include <sstream>

#include "decoder/tiny_model.h"

namespace shine::test {
namespace {

MetaLora made() {
  MetaLora lora(tiny_biased_config().lora_spec(), 3);
  std::uint64_t seed = 20;
  for (const at::Tensor& parameter : lora->parameters()) {
    set_values(parameter, random_tensor(parameter.sizes().vec(), ++seed));
  }
  return lora;
}

std::vector<at::Tensor> tensors_of(LoraTree tree) {
  std::vector<at::Tensor> tensors;
  for_each_tensor(tree, [&](const std::string&, at::Tensor& tensor) { tensors.push_back(tensor); });
  return tensors;
}

TEST(MetaLora, ItsTreeIsItsParameters) {
  const MetaLora lora = made();
  const auto parameters = lora->named_parameters();
  ASSERT_EQ(parameters.size(), 2U * 7U * 3U) << "A, B and C of two layers";
  LoraTree tree = lora->tree();
  for_each_tensor(tree, [&](const std::string& name, at::Tensor& tensor) {
    EXPECT_TRUE(parameters[name].is_same(tensor)) << name;
  });
}

TEST(MetaLora, ACloneIsALoraOfItsOwn) {
  const MetaLora lora = made();
  const auto copy = std::dynamic_pointer_cast<MetaLoraImpl>(lora->clone());
  ASSERT_NE(copy, nullptr);
  EXPECT_EQ(copy->named_parameters().keys(), lora->named_parameters().keys());
  const auto own = tensors_of(lora->tree()), copied = tensors_of(copy->tree());
  ASSERT_EQ(copied.size(), own.size());
  for (std::size_t i = 0; i < own.size(); ++i) {
    EXPECT_TRUE(at::equal(copied[i], own[i])) << i;
    EXPECT_NE(copied[i].const_data_ptr(), own[i].const_data_ptr()) << i;
  }
  for (const at::Tensor& parameter : copy->parameters()) set_values(parameter, at::zeros_like(parameter));
  for (const at::Tensor& tensor : tensors_of(copy->tree())) EXPECT_EQ(tensor.abs().max().item<double>(), 0.0);
}

TEST(MetaLora, ConvertsSwitchesAndPrintsAsALibTorchModule) {
  const MetaLora lora = made();
  MetaLora changed = made();
  changed->to(at::kDouble);
  const auto before = tensors_of(lora->tree()), after = tensors_of(changed->tree());
  for (std::size_t i = 0; i < before.size(); ++i) EXPECT_TRUE(at::equal(after[i], before[i].to(at::kDouble))) << i;
  changed->eval();
  for (const auto& part : changed->modules()) EXPECT_FALSE(part->is_training()) << part->name();
  changed->train();
  for (const auto& part : changed->modules()) EXPECT_TRUE(part->is_training()) << part->name();
  std::ostringstream printed;
  printed << *changed;
  EXPECT_NE(printed.str().find("(attention): torch::nn::ModuleDict("), std::string::npos) << printed.str();
}

}  // namespace
}  // namespace shine::test
