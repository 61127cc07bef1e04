// Example of the README: a memory-to-parameter network of one's own.
#include <gtest/gtest.h>

#include <cmath>

#include "decoder/tiny_model.h"
#include "shine/common/str.h"
#include "shine/hypernetwork/memory_to_params.h"
#include "shine/nn/encoder_layer.h"
#include "support/gradient_check.h"

namespace shine::test {
namespace {

// [m2p]
/// Mixes the states that a memory token has after the L layers by a learned (L, L) matrix a round; tokens do not meet.
class M2pMixer : public MemoryToParams {
 public:
  M2pMixer(const M2pConfig& config, const M2pShape& shape)
      : pool_(config.mean_pool_size), mixers_(static_cast<std::size_t>(config.num_layers)) {
    declare_positions(shape, shape.memory_tokens * pool_);
    for (std::size_t i = 0; i < mixers_.size(); ++i) {
      parameters_.add(str("mixers.", i, ".weight"), {shape.spec.layers, shape.spec.layers}, mixers_[i]);
    }
  }

  at::Tensor forward(const at::Tensor& memory_states) const override {
    at::Tensor x = add_positions(memory_states);  // (B, L, M * pool, H)
    for (const at::Tensor& mixer : mixers_) x = x + at::gelu(at::einsum("blmh,kl->bkmh", {x, mixer}));
    return mean_pool(x, pool_).reshape({x.size(0), -1});  // (B, L * M * H)
  }

  void initialise(at::Generator& generator) const override {
    layer_pe_.zero_();
    token_pe_.zero_();
    for (const at::Tensor& mixer : mixers_) {
      fill_uniform(mixer, 1.0 / std::sqrt(static_cast<double>(mixer.size(0))), generator);
    }
  }

 private:
  std::int64_t pool_;
  std::vector<at::Tensor> mixers_;
};
// [/m2p]

struct Mixer {
  M2pShape shape{.spec = tiny_config().lora_spec(), .rank = 2, .hidden_size = 16, .memory_tokens = 29};
  M2pMixer network;

  explicit Mixer(at::ScalarType dtype) : network(config(), shape) {
    network.parameters().allocate(at::TensorOptions().dtype(dtype));
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
  const auto& slots = mixer.network.parameters().slots();
  // [m2p gradient]
  std::vector<at::Tensor> inputs{random_leaf({1, 2, 29, 16})};
  for (const ParameterSlot& slot : slots) inputs.push_back(leaf(slot.value()));
  const TensorFunction forward = [&](const std::vector<at::Tensor>& given) {
    for (std::size_t i = 0; i < slots.size(); ++i) *slots[i].tensor = given[i + 1];
    return mixer.network.forward(given[0]);
  };
  EXPECT_TRUE(gradients_match_differences(forward, inputs));
  // [/m2p gradient]
}

TEST(AddM2p, GeneratesALoraForTheDecoder) {
  const Mixer mixer(at::kFloat);
  const auto decoder = tiny_decoder();
  const TokenRows rows = TokenRows::pack(random_rows({5, 3}, 7), at::kCPU);
  // [m2p lora]
  const at::Tensor vector = mixer.network.forward(random_tensor({2, 2, 29, 16}, /*seed=*/3));
  const LoraTree lora = lora_from_vector(vector, {mixer.shape.spec, mixer.shape.rank, LoraMethod::rl, /*scale=*/0.1});
  const at::Tensor hidden = decoder->forward(rows, &lora);  // two rows, each with its own LoRA
  // [/m2p lora]
  EXPECT_EQ(lora.adapters(), 2);
  EXPECT_EQ(lora.rank(), 2);
  EXPECT_GT(relative_error(hidden, decoder->forward(rows, nullptr)), 1e-3);
}

}  // namespace
}  // namespace shine::test
