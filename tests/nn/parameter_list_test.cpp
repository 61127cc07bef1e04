#include "shine/nn/parameter_list.h"

#include "shine/common/error.h"
#include "support/tensor_match.h"

namespace shine::test {
namespace {

struct Module {
  at::Tensor weight, bias, scale;
  ParameterList list;

  Module() {
    list.add("linear.weight", {2, 3}, weight);
    list.add("linear.bias", {2}, bias);
    list.add("scale", {}, scale);
  }
  Module(const Module&) = delete;
};

RawTensorDict file_of(const std::map<std::string, at::Tensor>& tensors) {
  RawTensorDict source;
  for (const auto& [name, tensor] : tensors) source[name] = to_raw(tensor);
  return source;
}

at::TensorOptions float32() {
  return at::TensorOptions().dtype(at::kFloat);
}

TEST(ParameterList, CountsAndAllocates) {
  const Module module;
  EXPECT_EQ(module.list.numel(), 2 * 3 + 2 + 1);
  EXPECT_EQ(module.list.slots()[1].name, "linear.bias");
  module.list.allocate(at::TensorOptions().dtype(at::kBFloat16));
  EXPECT_EQ(module.weight.sizes(), at::IntArrayRef({2, 3}));
  EXPECT_EQ(module.scale.dim(), 0);
  EXPECT_EQ(module.bias.scalar_type(), at::kBFloat16);
}

TEST(LoadParameters, UsesTheFilesBytesWhereTheyFit) {
  const Module module;
  const at::Tensor weight = random_tensor({2, 3}, at::kFloat), bias = random_tensor({2}, at::kDouble);
  load_parameters(module.list, file_of({{"linear.weight", weight}, {"linear.bias", bias}, {"scale", at::ones({})}}),
                  float32(), "model.safetensors");
  EXPECT_EQ(module.weight.const_data_ptr(), weight.const_data_ptr());
  EXPECT_TRUE(at::equal(module.bias, bias.to(at::kFloat)));
  EXPECT_EQ(module.bias.scalar_type(), at::kFloat);
  EXPECT_EQ(module.scale.item<float>(), 1.0F);
}

TEST(LoadParameters, ListsEveryFaultAtOnce) {
  const Module module;
  const at::Tensor untouched = module.weight;
  const auto source =
      file_of({{"linear.weight", at::zeros({3, 2})}, {"linear.scale", at::zeros({2})}, {"more", at::zeros({})}});
  try {
    load_parameters(module.list, source, float32(), "model.safetensors");
    FAIL() << "loaded";
  } catch (const ShapeError& error) {
    const std::string message = error.what();
    for (const char* part : {"model.safetensors", "2 missing: linear.bias, scale", "2 unexpected: linear.scale, more",
                             "1 of another shape: linear.weight expected (2, 3) found (3, 2)"}) {
      EXPECT_NE(message.find(part), std::string::npos) << part << "\nis not in\n" << message;
    }
    EXPECT_EQ(message.find('\n'), std::string::npos);
  }
  EXPECT_FALSE(module.weight.defined());
}

TEST(LoadParameters, NamesTheFirstOfManyFaults) {
  const Module module;
  RawTensorDict source = file_of({});
  for (const char name : std::string("abcdefghij")) source.emplace(std::string(1, name), to_raw(at::zeros({})));
  try {
    load_parameters(module.list, source, float32(), "model.safetensors");
    FAIL() << "loaded";
  } catch (const ShapeError& error) {
    EXPECT_NE(std::string(error.what()).find("10 unexpected: a, b, c, d, e, f, g, h, and 2 more"), std::string::npos)
        << error.what();
  }
}

TEST(LoadParameters, ReshapingIsNotLoading) {
  const Module module;  // equal numbers of values, another shape
  const auto source =
      file_of({{"linear.weight", at::zeros({2, 3})}, {"linear.bias", at::zeros({2, 1})}, {"scale", at::zeros({1})}});
  EXPECT_THROW(load_parameters(module.list, source, float32(), ""), ShapeError);
}

TEST(LoadParameters, RefusesIntegers) {
  const Module module;
  const auto source = file_of(
      {{"linear.weight", at::zeros({2, 3})}, {"linear.bias", at::zeros({2}, at::kLong)}, {"scale", at::zeros({})}});
  EXPECT_THROW(load_parameters(module.list, source, float32(), ""), FormatError);
}

}  // namespace
}  // namespace shine::test
