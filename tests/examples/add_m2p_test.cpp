// Example of src/hypernetwork/README.md: a memory-to-parameter network of one's own.
#include <gtest/gtest.h>
#include <torch/nn/modules/container/modulelist.h>

#include "decoder/tiny_model.h"
#include "lora/lora_layout.h"
#include "shine/hypernetwork/memory_to_params.h"
#include "shine/nn/linear.h"
#include "support/gradient_check.h"
#include "support/set_parameters.h"

namespace shine::test {
namespace {

// [m2p]
/// Mixes the states that a memory token has after the L layers by a learned (L, L) matrix a round; tokens do not meet.
class M2pMixer : public MemoryToParams {
 public:
  M2pMixer(const M2pConfig& config, const M2pShape& shape) : pool_(config.mean_pool_size) {
    declare_positions(config, shape);
    const auto list = register_module("mixers", torch::nn::ModuleList());
    for (std::int64_t i = 0; i < config.num_layers; ++i) {
      mixers_.emplace_back(LinearImpl::Options{shape.spec.layers, shape.spec.layers, /*bias=*/false});
      list->push_back(mixers_.back());
    }
  }

  at::Tensor forward(const at::Tensor& memory_states) const override {
    at::Tensor x = add_positions(memory_states).transpose(1, 3);  // (B, H, M * pool, L)
    for (const Linear& mixer : mixers_) x = x + at::gelu(mixer->forward(x));
    return mean_pool(x.transpose(1, 3), pool_).reshape({x.size(0), -1});  // (B, L * M * H)
  }

  void initialise(at::Generator& generator) override {
    initialise_positions();
    for (Linear& mixer : mixers_) mixer->initialise(generator);
  }

 private:
  std::int64_t pool_;
  std::vector<Linear> mixers_;
};
// [/m2p]

struct Mixer {
  M2pShape shape = M2pShape::of(tiny_config().lora_spec(), /*rank=*/2, /*hidden_size=*/16);
  M2pMixer network;

  explicit Mixer(at::ScalarType dtype) : network(config(), shape) {
    allocate_parameters(network, dtype);
    at::Generator generator = at::detail::createCPUGenerator(1);
    network.initialise(generator);
  }

  static M2pConfig config() {
    M2pConfig config;
    config.num_layers = 2;
    return config;
  }
};

TEST(AddM2p, GradientsEqualDifferences) {
  const Mixer mixer(at::kDouble);
  // [m2p gradient]
  std::vector<at::Tensor> inputs{random_leaf({1, 2, 29, 16})};
  for (const at::Tensor& parameter : mixer.network.parameters()) inputs.push_back(leaf(parameter));
  const TensorFunction forward = [&](const std::vector<at::Tensor>& given) {
    set_parameters(mixer.network, std::span(given).subspan(1));
    return mixer.network.forward(given[0]);
  };
  EXPECT_TRUE(gradients_match_differences(forward, inputs));
  // [/m2p gradient]
}

TEST(AddM2p, ItsParametersHaveNamesAndSayWhetherTheyAreDecayed) {
  const Mixer mixer(at::kFloat);
  const auto trained = trained_parameters(mixer.network, ParameterGroup::m2p, "metanetwork");
  ASSERT_EQ(trained.size(), 4U);
  EXPECT_EQ(trained[0].name, "metanetwork.layer_pe");
  EXPECT_EQ(trained[0].decay, Decay::published_only);
  EXPECT_EQ(trained[2].name, "metanetwork.mixers.0.weight");
  EXPECT_EQ(trained[2].decay, Decay::always);
  EXPECT_EQ(count_parameters(mixer.network), 2 * 16 + 29 * 16 + 2 * 2 * 2);
}

TEST(AddM2p, GeneratesALoraForTheDecoder) {
  const Mixer mixer(at::kFloat);
  const auto decoder = tiny_decoder();
  const TokenRows rows = TokenRows::pack(random_rows({5, 3}, 7), at::kCPU);
  // [m2p lora]
  const at::Tensor vector = mixer.network.forward(random_tensor({2, 2, 29, 16}, /*seed=*/3));
  const LoraTree lora = lora_from_vector(vector, {mixer.shape.spec, mixer.shape.rank, LoraReshape::rl, /*scale=*/0.1});
  const at::Tensor hidden = decoder->forward(rows, &lora);  // two rows, each with its own LoRA
  // [/m2p lora]
  EXPECT_EQ(lora.adapters(), 2);
  EXPECT_EQ(lora.rank(), 2);
  EXPECT_GT(relative_error(hidden, decoder->forward(rows, nullptr)), 1e-3);
}

}  // namespace
}  // namespace shine::test
