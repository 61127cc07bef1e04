#include <gtest/gtest.h>

#include "adapter/adapter_files.h"
#include "adapter/raw_adapter.h"
#include "io/expect_fault.h"
#include "shine/common/error.h"

namespace shine {
namespace {

using test::counting;
using test::expect_fault;

class Mlx : public testing::Test {
 protected:
  Mlx() {
    for (int layer = 0; layer < 2; ++layer) {
      add(str("model.layers.", layer, ".self_attn.v_proj"), 8, 4);
      add(str("model.layers.", layer, ".mlp.down_proj"), 6, 8);
    }
  }

  void add(const std::string& module, std::int64_t in, std::int64_t out) {
    tensors_[module + ".lora_a"] = counting({in, 2});
    tensors_[module + ".lora_b"] = counting({2, out}, 3);
  }

  RawAdapter read() const {
    folder_.write("adapter_config.json", config_.dump());
    write_safetensors(folder_.path() / "adapters.safetensors", {tensors_.begin(), tensors_.end()});
    return read_raw_adapter(folder_.path(), test::small_decoder());
  }

  nlohmann::json config_{
      {"fine_tune_type", "lora"},
      {"num_layers", 2},
      {"iters", 100},
      {"model", "models/base"},
      {"lora_parameters",
       {{"rank", 2}, {"scale", 20.0}, {"dropout", 0.1}, {"keys", {"self_attn.v_proj", "mlp.down_proj"}}}}};
  RawTensorDict tensors_;
  test::TemporaryFolder folder_;
};

TEST_F(Mlx, ReadsPairsAsTheyLie) {
  const RawAdapter adapter = read();
  EXPECT_EQ(adapter.format, AdapterFormat::mlx);
  EXPECT_EQ(adapter.metadata.base_model, "models/base");
  const auto& pair = adapter.layers[1][static_cast<std::size_t>(Projection::down)];
  ASSERT_TRUE(pair.has_value());
  EXPECT_EQ(pair->layout, PairLayout::ours);
  EXPECT_EQ(pair->scale, 20.0);
  EXPECT_EQ(pair->rank, 2);
  EXPECT_EQ(test::numbers_of(pair->b)[0], 3);
}

TEST_F(Mlx, CountsLayersFromTheLast) {
  config_["num_layers"] = 1;
  expect_fault<FormatError>("model.layers.0.self_attn.v_proj has tensors, but num_layers and keys leave it out",
                            [&] { read(); });
  std::erase_if(tensors_, [](const auto& item) { return item.first.find(".0.") != std::string::npos; });
  EXPECT_FALSE(read().layers[0][static_cast<std::size_t>(Projection::down)].has_value());
  config_["num_layers"] = -1;  // all
  expect_fault<FormatError>("model.layers.0.self_attn.v_proj is chosen by num_layers and keys, but has no tensors",
                            [&] { read(); });
}

TEST_F(Mlx, WithoutKeysAllMapsCount) {
  config_["lora_parameters"].erase("keys");
  expect_fault<FormatError>("self_attn.q_proj is chosen by num_layers and keys, but has no tensors", [&] { read(); });
  config_["lora_parameters"]["keys"] = {"self_attn.v_proj", "model.layers.0.mlp.down_proj"};
  expect_fault<FormatError>("model.layers.1.mlp.down_proj has tensors, but", [&] { read(); });
}

TEST_F(Mlx, RefusesOtherKindsByName) {
  for (const char* type : {"dora", "full"}) {
    config_["fine_tune_type"] = type;
    expect_fault<UnsupportedError>(str("\"fine_tune_type\": \"", type, "\""), [&] { read(); });
  }
  config_["fine_tune_type"] = "lora";
  config_["lora_parameters"]["alpha"] = 4;
  expect_fault<UnsupportedError>("\"alpha\" is not known", [&] { read(); });
  config_["lora_parameters"].erase("alpha");
  config_["lora_parameters"]["rank"] = 3;
  expect_fault<FormatError>("\"rank\" is 3, the tensors of model.layers.0.self_attn.v_proj have rank 2",
                            [&] { read(); });
  config_["lora_parameters"].erase("scale");
  expect_fault<FormatError>("scale", [&] { read(); });
}

TEST_F(Mlx, RefusesOtherTensors) {
  for (const char* name : {"model.layers.0.self_attn.v_proj.m", "model.embed_tokens.lora_a", "lm_head.lora_a",
                           "model.layers.0.self_attn.v_proj.linear.weight", "model.layers.0.lora_a"}) {
    tensors_[name] = counting({8, 2});
    const std::string message = test::fault_of<UnsupportedError>([&] { read(); });
    EXPECT_NE(message.find(name), std::string::npos) << name << ": " << message;
    tensors_.erase(name);
  }
  tensors_.erase("model.layers.0.self_attn.v_proj.lora_b");
  expect_fault<FormatError>("is without its B", [&] { read(); });
}

}  // namespace
}  // namespace shine
