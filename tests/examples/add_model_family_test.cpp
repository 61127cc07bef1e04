// Example of src/decoder/README.md: a decoder family of one's own.
#include <gtest/gtest.h>

#include "decoder/tiny_model.h"
#include "io/files/text_file.h"
#include "shine/common/error.h"
#include "support/paths.h"

namespace shine::test {
namespace {

std::string config_json(const std::string& model_type, const std::string& window) {
  return R"({"model_type": ")" + model_type + R"(", "hidden_act": "silu", "hidden_size": 32, "vocab_size": 40,
    "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": false,
    "sliding_window": )" +
         window + "}";
}

TEST(AddModelFamily, ARowOfCapabilitiesMakesItReadable) {
  const TemporaryFolder folder;
  const auto write = [&](const std::string& name, const std::string& text) {
    write_file_atomically(folder.path() / name, text);
    return folder.path() / name;
  };
  const auto file = write("config.json", config_json("my_model", "null"));
  const TokenRows rows = TokenRows::pack(random_rows({6, 4}, 1), at::kCPU);
  // [family]
  // Qwen2's layers (biases on q, k and v alone); a sliding window, where its config.json has one, is always in use.
  const std::array families{DecoderFamily{
      .model_type = "my_model", .attention_bias = AttentionBias::qkv, .window = WindowSwitch::sliding_window}};
  const DecoderConfig config = read_decoder_config(file, families);
  Decoder decoder(config, {});  // or load_decoder(decoder, folder) for its weights
  initialise_decoder(decoder, /*gain=*/0.7, /*seed=*/1);
  const at::Tensor logits = decoder.logits(decoder.forward(rows, nullptr));  // (10 tokens, 40)
  // [/family]
  EXPECT_EQ(config.head_dim, 8);
  EXPECT_FALSE(config.qk_norm || config.o_bias || config.mlp_bias);
  const auto twin = write("twin.json", config_json("qwen2", "null"));
  Decoder qwen2(read_decoder_config(twin), {});
  initialise_decoder(qwen2, 0.7, 1);
  EXPECT_TRUE(at::equal(logits, qwen2.logits(qwen2.forward(rows, nullptr))));

  EXPECT_THROW(read_decoder_config(file), UnsupportedError) << "no family of the list";
  const auto window = write("window.json", config_json("my_model", "16"));
  EXPECT_EQ(read_decoder_config(window, families).max_positions, 16) << "longer rows would change the result";
}

}  // namespace
}  // namespace shine::test
