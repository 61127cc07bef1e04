#include "shine/nn/module.h"

#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

#include <sstream>

#include "shine/common/error.h"
#include "shine/nn/encoder_layer.h"
#include "support/faults.h"
#include "support/tensor_match.h"

namespace shine::test {
namespace {

class ScaledImpl : public Module<ScaledImpl> {
 public:
  ScaledImpl() { reset(); }
  void reset() override {
    linear = register_module("linear", Linear(LinearImpl::Options{3, 2}));
    scale = declare("scale", {}, Decay::published_only);
  }

  Linear linear{nullptr};
  at::Tensor scale;
};
TORCH_MODULE(Scaled);

RawTensorDict file_of(const std::map<std::string, at::Tensor>& tensors) {
  RawTensorDict source;
  for (const auto& [name, tensor] : tensors) source[name] = to_raw(tensor);
  return source;
}

at::TensorOptions float32() {
  return at::TensorOptions().dtype(at::kFloat);
}

TEST(Module, CountsBeforeThereAreValues) {
  const Scaled module;
  EXPECT_EQ(count_parameters(*module), 1 + 2 * 3 + 2);
  EXPECT_EQ(module->named_parameters().keys(), (std::vector<std::string>{"scale", "linear.weight", "linear.bias"}));
  EXPECT_EQ(module->linear->weight.sizes(), at::IntArrayRef({2, 3}));
  EXPECT_EQ(module->linear->weight.storage().nbytes(), sizeof(float));
}

TEST(Module, AllocatesEveryParameter) {
  const Scaled module;
  allocate_parameters(*module.ptr(), at::TensorOptions().dtype(at::kBFloat16));
  EXPECT_EQ(module->linear->weight.sizes(), at::IntArrayRef({2, 3}));
  EXPECT_EQ(module->scale.dim(), 0);
  EXPECT_EQ(module->linear->bias.scalar_type(), at::kBFloat16);
  EXPECT_TRUE(module->linear->weight.requires_grad());
}

TEST(Module, SaysWhatIsDecayed) {
  const Scaled module;
  module->linear->bias.requires_grad_(false);
  const auto trained = trained_parameters(*module, ParameterGroup::meta_lora, "part");
  ASSERT_EQ(trained.size(), 2U);
  EXPECT_EQ(trained[0].name, "part.scale");
  EXPECT_EQ(trained[0].decay, Decay::published_only);
  EXPECT_EQ(trained[1].name, "part.linear.weight");
  EXPECT_EQ(trained[1].decay, Decay::always);
  EXPECT_EQ(trained[1].group, ParameterGroup::meta_lora);
}

class OfStockModulesImpl : public Module<OfStockModulesImpl> {
 public:
  OfStockModulesImpl() { reset(); }
  void reset() override {
    linear = register_module("linear", torch::nn::Linear(3, 2));
    norm = register_module("norm", torch::nn::LayerNorm(torch::nn::LayerNormOptions({2})));
    scale = declare("scale", {2, 2}, Decay::never);
  }

  torch::nn::Linear linear{nullptr};
  torch::nn::LayerNorm norm{nullptr};
  at::Tensor scale;
};
TORCH_MODULE(OfStockModules);

TEST(Module, LibTorchsOwnModulesAreDecayedByTheirDimensions) {
  std::map<std::string, Decay> found;
  for (const TrainedParameter& each : trained_parameters(*OfStockModules(), ParameterGroup::m2p)) {
    found.emplace(each.name, each.decay);
  }
  EXPECT_EQ(found, (std::map<std::string, Decay>{{"scale", Decay::never},
                                                 {"linear.weight", Decay::always},
                                                 {"linear.bias", Decay::never},
                                                 {"norm.weight", Decay::never},
                                                 {"norm.bias", Decay::never}}));
}

TEST(Module, AParameterThatWasNotDeclaredIsAnErrorWithTheCure) {
  Scaled module;
  module->register_parameter("offset", at::zeros({2, 2}));
  try {
    trained_parameters(*module, ParameterGroup::m2p, "part");
    FAIL() << "trained";
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find("part.offset"), std::string::npos) << message;
    EXPECT_NE(message.find("declare(name, shape, decay)"), std::string::npos) << message;
  }
}

TEST(Module, BehavesAsALibTorchModule) {
  EncoderLayer layer(EncoderLayerOptions{.width = 8, .heads = 2, .feedforward = 12});
  allocate_parameters(*layer, at::kFloat);
  at::Generator generator = at::detail::createCPUGenerator(1);
  layer->initialise(generator);
  const at::Tensor x = random_tensor({2, 3, 8}, at::kFloat);
  const auto copy = std::dynamic_pointer_cast<EncoderLayerImpl>(layer->clone());
  EXPECT_TRUE(at::equal(copy->forward(x), layer->forward(x)));
  EXPECT_NE(copy->linear1->weight.const_data_ptr(), layer->linear1->weight.const_data_ptr());
  layer->to(at::kDouble);
  EXPECT_EQ(layer->forward(x.to(at::kDouble)).scalar_type(), at::kDouble);
  EXPECT_EQ(copy->linear1->weight.scalar_type(), at::kFloat);
  layer->eval();
  EXPECT_FALSE(layer->norm1->is_training());
  std::ostringstream printed;
  printed << *layer;
  EXPECT_NE(printed.str().find("Linear(8, 12)"), std::string::npos) << printed.str();
}

TEST(LoadParameters, UsesTheFilesBytesWhereTheyFit) {
  const Scaled module;
  const at::Tensor weight = random_tensor({2, 3}, at::kFloat), bias = random_tensor({2}, at::kDouble);
  load_parameters(*module.ptr(), file_of({{"linear.weight", weight}, {"linear.bias", bias}, {"scale", at::ones({})}}),
                  float32(), "model.safetensors");
  EXPECT_EQ(module->linear->weight.const_data_ptr(), weight.const_data_ptr());
  EXPECT_TRUE(at::equal(module->linear->bias, bias.to(at::kFloat)));
  EXPECT_EQ(module->linear->bias.scalar_type(), at::kFloat);
  EXPECT_EQ(module->scale.item<float>(), 1.0F);
}

TEST(LoadParameters, ListsEveryFaultAtOnce) {
  const Scaled module;
  const auto source =
      file_of({{"linear.weight", at::zeros({3, 2})}, {"linear.scale", at::zeros({2})}, {"more", at::zeros({})}});
  try {
    load_parameters(*module.ptr(), source, float32(), "model.safetensors");
    FAIL() << "loaded";
  } catch (const ShapeError& error) {
    const std::string message = error.what();
    for (const char* part : {"model.safetensors", "2 missing: scale, linear.bias", "2 unexpected: linear.scale, more",
                             "1 of another shape: linear.weight expected (2, 3) found (3, 2)"}) {
      EXPECT_NE(message.find(part), std::string::npos) << part << "\nis not in\n" << message;
    }
    EXPECT_EQ(message.find('\n'), std::string::npos);
  }
  EXPECT_EQ(module->linear->weight.storage().nbytes(), sizeof(float));
}

TEST(LoadParameters, NamesTheFirstOfManyFaults) {
  const Scaled module;
  RawTensorDict source = file_of({});
  for (const char name : std::string("abcdefghij")) source.emplace(std::string(1, name), to_raw(at::zeros({})));
  expect_fault<ShapeError>("10 unexpected: a, b, c, d, e, f, g, h, and 2 more",
                           [&] { load_parameters(*module.ptr(), source, float32(), "model.safetensors"); });
}

TEST(LoadParameters, ReshapingIsNotLoading) {
  const Scaled module;  // equal numbers of values, another shape
  const auto source =
      file_of({{"linear.weight", at::zeros({2, 3})}, {"linear.bias", at::zeros({2, 1})}, {"scale", at::zeros({1})}});
  EXPECT_THROW(load_parameters(*module.ptr(), source, float32(), ""), ShapeError);
}

TEST(LoadParameters, RefusesIntegers) {
  const Scaled module;
  const auto source = file_of(
      {{"linear.weight", at::zeros({2, 3})}, {"linear.bias", at::zeros({2}, at::kLong)}, {"scale", at::zeros({})}});
  EXPECT_THROW(load_parameters(*module.ptr(), source, float32(), ""), FormatError);
}

}  // namespace
}  // namespace shine::test
