#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "adapter/adapter_files.h"
#include "adapter/raw_adapter.h"
#include "io/expect_fault.h"
#include "io/torch_format/torch_writer.h"
#include "shine/common/error.h"

namespace shine {
namespace {

using test::counting;
using test::expect_fault;
using test::numbers_of;
using test::PeftFiles;

constexpr const char* kFirstA = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";

class Peft : public testing::Test {
 protected:
  RawAdapter read() const { return read_raw_adapter(folder_.path(), test::small_decoder()); }
  RawAdapter read(const PeftFiles& files) const {
    files.write(folder_.path());
    return read();
  }

  test::TemporaryFolder folder_;
};

TEST_F(Peft, ReadsPairsAndScales) {
  PeftFiles files;
  files.config["base_model_name_or_path"] = "models/base";
  const RawAdapter adapter = read(files);
  EXPECT_EQ(adapter.format, AdapterFormat::peft);
  EXPECT_EQ(adapter.metadata.base_model, "models/base");
  EXPECT_EQ(adapter.metadata.identity, "");
  for (const auto& layer : adapter.layers) {
    ASSERT_TRUE(layer[0].has_value());
    EXPECT_EQ(layer[0]->rank, 2);
    EXPECT_EQ(layer[0]->scale, 2.0);
    EXPECT_EQ(layer[0]->layout, PairLayout::transposed);
    EXPECT_EQ(numbers_of(layer[0]->a)[15], 16);
    EXPECT_EQ(numbers_of(layer[0]->b)[0], 0.5);
    EXPECT_EQ(std::ranges::count_if(layer, [](const auto& pair) { return pair.has_value(); }), 1);
  }
}

TEST_F(Peft, ReadsRanksOfTheirOwn) {
  PeftFiles files;
  for (int layer = 0; layer < 2; ++layer) files.add_pair(str("model.layers.", layer, ".mlp.down_proj"), 6, 8, 3);
  files.config["target_modules"] = {"q_proj", "down_proj"};
  files.config["rank_pattern"] = {{"down_proj", 3}};
  files.config["alpha_pattern"] = {{"layers.1.mlp.down_proj", 12}};
  files.config["use_rslora"] = true;
  const RawAdapter adapter = read(files);
  const auto down = static_cast<std::size_t>(Projection::down);
  EXPECT_DOUBLE_EQ(adapter.layers[0][down]->scale, 4 / std::sqrt(3.0));
  EXPECT_DOUBLE_EQ(adapter.layers[1][down]->scale, 12 / std::sqrt(3.0));
  EXPECT_DOUBLE_EQ(adapter.layers[1][0]->scale, 4 / std::sqrt(2.0));
  files.config["rank_pattern"] = {{"down_proj", 4}};
  expect_fault<FormatError>("model.layers.0.mlp.down_proj has rank 4, its tensors have rank 3", [&] { read(files); });
}

TEST_F(Peft, ReadsOtherSpellingsOfNames) {
  for (const char* prefix : {"base_model.model.model.", "base_model.model.", "model.", ""}) {
    for (const char* adapter : {"", ".default", ".mine"}) {
      PeftFiles files;
      files.tensors.clear();
      for (int layer = 0; layer < 2; ++layer) {
        const std::string start = str(prefix, "layers.", layer, ".self_attn.q_proj.lora_");
        files.tensors[str(start, "A", adapter, ".weight")] = counting({2, 8});
        files.tensors[str(start, "B", adapter, ".weight")] = counting({8, 2});
      }
      EXPECT_TRUE(read(files).layers[1][0].has_value()) << prefix << adapter;
    }
  }
}

TEST_F(Peft, RefusesNamesOfTwoAdapters) {
  PeftFiles files;
  files.rename(kFirstA, "base_model.model.model.layers.0.self_attn.q_proj.lora_A.other.weight");
  expect_fault<FormatError>("is of adapter", [&] { read(files); });
  PeftFiles twice;
  twice.tensors["model.layers.0.self_attn.q_proj.lora_A.weight"] = counting({2, 8});
  expect_fault<FormatError>("names the same part as", [&] { read(twice); });
}

TEST_F(Peft, RefusesOtherTensorsByName) {
  const std::vector<std::pair<std::string, std::string>> others{
      {"base_model.model.lm_head.lora_A.weight", "is not a LoRA of the decoder's seven projections"},
      {"base_model.model.model.embed_tokens.lora_embedding_A", "is a LoRA of an embedding"},
      {"base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector", "belongs to DoRA"},
      {"base_model.model.lm_head.modules_to_save.weight", "is a whole weight (modules_to_save)"},
      {"base_model.model.model.layers.0.self_attn.q_proj.base_layer.bias", "is not a LoRA"},
      {"base_model.model.model.layers.0.self_attn.q_proj.lora_B.bias", "is not a LoRA"},
      {"base_model.model.model.model.layers.0.self_attn.q_proj.lora_A.weight", "is not a LoRA"},
      {"base_model.model.model.layers.0.self_attn.qkv_proj.lora_A.weight", "is not a LoRA"},
      {"base_model.model.model.layers.0.self_attn.q_proj.lora_A.a.b.weight", "is not a LoRA"},
      {"base_model.model.model.layers.0.self_attn.q_proj.lora_A..weight", "is not a LoRA"},
      {"base_model.model.model.layers.0.self_attn.q_proj.lora_C.weight", "is not a LoRA"}};
  for (const auto& other : others) {
    PeftFiles files;
    files.tensors[other.first] = counting({2, 8});
    const std::string message = test::fault_of<UnsupportedError>([&] { read(files); });
    EXPECT_NE(message.find(other.first), std::string::npos) << message;
    EXPECT_NE(message.find(other.second), std::string::npos) << message;
  }
}

TEST_F(Peft, ConfigurationAndTensorsMustAgree) {
  PeftFiles more;
  more.add_pair("model.layers.0.self_attn.v_proj", 8, 4, 2);
  expect_fault<FormatError>("model.layers.0.self_attn.v_proj has tensors, but is not among target_modules",
                            [&] { read(more); });
  PeftFiles fewer;
  fewer.config["target_modules"] = {"q_proj", "v_proj"};
  expect_fault<FormatError>("model.layers.0.self_attn.v_proj is among target_modules, but has no tensors",
                            [&] { read(fewer); });
  PeftFiles chosen;
  chosen.config["layers_to_transform"] = {1};
  expect_fault<FormatError>("model.layers.0.self_attn.q_proj has tensors, but", [&] { read(chosen); });
  std::erase_if(chosen.tensors, [](const auto& item) { return item.first.find(".0.") != std::string::npos; });
  EXPECT_FALSE(read(chosen).layers[0][0].has_value());
  PeftFiles half;
  half.tensors.erase(kFirstA);
  expect_fault<FormatError>("is without its A", [&] { read(half); });
  PeftFiles empty;
  empty.tensors.clear();
  expect_fault<FormatError>("no LoRA tensor", [&] { read(empty); });
}

TEST_F(Peft, ReadsShards) {
  const PeftFiles files;
  files.write_config(folder_.path());
  nlohmann::json index{{"weight_map", nlohmann::json::object()}};
  int number = 0;
  for (const auto& item : files.tensors) {
    const std::string shard = str("adapter_model-", ++number, ".safetensors");
    write_safetensors(folder_.path() / shard, {item});
    index["weight_map"][item.first] = shard;
  }
  folder_.write("adapter_model.safetensors.index.json", index.dump());
  EXPECT_EQ(numbers_of(read().layers[1][0]->a)[15], 16);
  std::filesystem::remove(folder_.path() / "adapter_model-2.safetensors");
  EXPECT_THROW(read(), IoError);
}

TEST_F(Peft, ReadsTheFormOfTorchSave) {
  const PeftFiles files;
  files.write_config(folder_.path());
  EXPECT_THROW(read(), IoError);
  PickleDict dict;
  for (const auto& [name, tensor] : files.tensors) dict.push_back({name, {tensor}});
  write_torch_file(folder_.path() / "adapter_model.bin", {dict});
  const RawAdapter adapter = read();
  EXPECT_EQ(numbers_of(adapter.layers[1][0]->a)[15], 16);
  EXPECT_EQ(adapter.where, folder_.path() / "adapter_model.bin");
}

}  // namespace
}  // namespace shine
