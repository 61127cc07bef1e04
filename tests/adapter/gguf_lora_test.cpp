#include "adapter/gguf_lora.h"

#include <cmath>

#include "adapter/adapter_files.h"
#include "adapter/raw_adapter.h"
#include "io/expect_fault.h"
#include "io/gguf/gguf_writer.h"
#include "shine/common/error.h"

namespace shine {
namespace {

using test::counting;
using test::expect_fault;
using test::numbers_of;

class GgufLora : public testing::Test {
 protected:
  GgufLora() {
    tensors_ = {{"blk.1.attn_q.weight.lora_a", counting({2, 8})},   {"blk.1.attn_q.weight.lora_b", counting({8, 2})},
                {"blk.1.attn_k.weight.lora_a", counting({2, 8})},   {"blk.1.attn_k.weight.lora_b", counting({4, 2})},
                {"blk.0.ffn_down.weight.lora_a", counting({1, 6})}, {"blk.0.ffn_down.weight.lora_b", counting({8, 1})}};
    set("general.type", "adapter");
    set("general.architecture", "qwen3");
    set("adapter.type", "lora");
    metadata_["adapter.lora.alpha"] = {4.0F};
  }

  void set(const char* key, const char* text) { metadata_[key] = {std::string(text)}; }

  RawAdapter read(const std::string& model_type = "qwen3") const {
    const auto path = folder_.path() / "x.gguf";
    write_gguf(path, tensors_, metadata_);
    return read_raw_adapter(path, test::small_decoder(model_type));
  }

  GgufMetadata metadata_;
  NamedRawTensors tensors_;
  test::TemporaryFolder folder_;
};

TEST_F(GgufLora, ReadsPairsAndScales) {
  set("general.base_model.0.name", "base");
  set("adapter.lora.task_name", "a task");
  set("general.author", "somebody");
  const RawAdapter adapter = read();
  EXPECT_EQ(adapter.format, AdapterFormat::gguf);
  EXPECT_EQ(adapter.metadata.base_model, "base");
  const auto& q = adapter.layers[1][0];
  ASSERT_TRUE(q.has_value());
  EXPECT_EQ(q->rank, 2);
  EXPECT_EQ(q->scale, 2.0);
  EXPECT_EQ(q->layout, PairLayout::transposed);
  EXPECT_EQ(numbers_of(q->b), numbers_of(counting({8, 2}))) << "qwen3's rows stay";
  const auto& down = adapter.layers[0][static_cast<std::size_t>(Projection::down)];
  ASSERT_TRUE(down.has_value());
  EXPECT_EQ(down->scale, 4.0) << "alpha over the pair's own rank";
  metadata_["adapter.lora.alpha"] = {0.0F};
  EXPECT_EQ(read().layers[1][0]->scale, 1.0);
  metadata_.erase("adapter.lora.alpha");
  EXPECT_EQ(read().layers[1][0]->scale, 1.0);
}

TEST(GgufRows, LieSideBySideWithinAHead) {
  // Two heads of four: rows (0 1 | 2 3) of a head, two halves, become the pairs (0 2 | 1 3).
  const RawTensor rows = counting({8, 1}, 0);
  EXPECT_EQ(numbers_of(to_rotary_pairs(rows, 2)), (std::vector<float>{0, 2, 1, 3, 4, 6, 5, 7}));
  EXPECT_EQ(numbers_of(to_rotary_pairs(rows, 1)), (std::vector<float>{0, 4, 1, 5, 2, 6, 3, 7}));
  for (const int heads : {1, 2, 4}) {
    const RawTensor wide = counting({8, 3});
    EXPECT_EQ(numbers_of(from_rotary_pairs(to_rotary_pairs(wide, heads), heads)), numbers_of(wide));
  }
  expect_fault<UnsupportedError>("heads of an even size", [&] { to_rotary_pairs(rows, 8); });
  expect_fault<UnsupportedError>("heads of an even size", [&] { to_rotary_pairs(rows, 3); });
}

TEST_F(GgufLora, RowsOfTheLlamaFamilyAreMovedBack) {
  for (const auto& [model_type, name] : {std::pair{"llama", "llama"}, {"mistral", "llama"}, {"smollm3", "smollm3"}}) {
    set("general.architecture", name);
    const RawAdapter adapter = read(model_type);
    // Rows of two numbers, one head of four: row 2 of the file is row 1.
    EXPECT_EQ(numbers_of(adapter.layers[1][1]->b), (std::vector<float>{1, 2, 5, 6, 3, 4, 7, 8})) << model_type;
    EXPECT_EQ(numbers_of(adapter.layers[1][0]->b)[2], 5) << model_type;
    EXPECT_EQ(numbers_of(adapter.layers[1][0]->a), numbers_of(counting({2, 8})));
    EXPECT_EQ(numbers_of(adapter.layers[0][6]->b), numbers_of(counting({8, 1})));
  }
}

TEST_F(GgufLora, ArchitecturesAreNamed) {
  for (const char* type : {"qwen3", "qwen2", "olmo2"}) {
    EXPECT_EQ(gguf_architecture(type).name, type);
    EXPECT_FALSE(gguf_architecture(type).rotary_pairs);
  }
  expect_fault<UnsupportedError>("no GGUF architecture is known for model_type \"phi\"",
                                 [] { gguf_architecture("phi"); });
  expect_fault<UnsupportedError>("\"general.architecture\" is \"qwen3\", expected \"llama\"", [&] { read("llama"); });
}

TEST_F(GgufLora, RefusesOtherFilesByKey) {
  set("general.type", "model");
  expect_fault<UnsupportedError>("\"general.type\" is \"model\"", [&] { read(); });
  metadata_.erase("general.type");
  expect_fault<UnsupportedError>("\"general.type\" is missing", [&] { read(); });
  set("general.type", "adapter");
  set("adapter.type", "control_vector");
  expect_fault<UnsupportedError>("\"adapter.type\" is \"control_vector\"", [&] { read(); });
  set("adapter.type", "lora");
  metadata_["adapter.alora.invocation_tokens"] = {GgufArray{4, {{std::uint32_t{7}}}}};
  expect_fault<UnsupportedError>("\"adapter.alora.invocation_tokens\" is not supported", [&] { read(); });
  metadata_.erase("adapter.alora.invocation_tokens");
  metadata_["adapter.lora.alpha"] = {NAN};
  expect_fault<FormatError>("adapter.lora.alpha is not finite", [&] { read(); });
  metadata_["adapter.lora.alpha"] = {std::uint32_t{4}};
  expect_fault<FormatError>("\"adapter.lora.alpha\" has a value of another type", [&] { read(); });
}

TEST_F(GgufLora, RefusesOtherTensorsAndShapes) {
  for (const char* name : {"token_embd.weight.lora_a", "blk.0.attn_norm.weight", "output.weight.lora_b",
                           "blk.0.attn_q.lora_a", "blk.0.attn_q.weight.lora_c", "blk.a.attn_q.weight.lora_a"}) {
    tensors_.emplace_back(name, counting({2, 8}));
    const std::string message = test::fault_of<UnsupportedError>([&] { read(); });
    EXPECT_NE(message.find(name), std::string::npos) << name << ": " << message;
    tensors_.pop_back();
  }
  tensors_.emplace_back("blk.0.attn_q.weight.lora_a", counting({2, 8}));
  expect_fault<FormatError>("is without its B", [&] { read(); });
  tensors_.back() = {"blk.2.attn_q.weight.lora_a", counting({2, 8})};
  expect_fault<FormatError>("the decoder has 2 layers", [&] { read(); });
  tensors_.back() = {"blk.0.attn_q.weight.lora_a", counting({8, 2})};
  expect_fault<FormatError>("the decoder needs [rank, 8]", [&] { read(); });
}

}  // namespace
}  // namespace shine
