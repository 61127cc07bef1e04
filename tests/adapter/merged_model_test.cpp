#include "adapter/merged_model.h"

#include <gtest/gtest.h>

#include "decoder/tiny_model.h"
#include "io/safetensors/model_files.h"
#include "shine/common/error.h"
#include "shine/tensor/torch_tensor.h"
#include "support/faults.h"
#include "support/paths.h"
#include "support/relative_error.h"

namespace shine::test {
namespace {

namespace fs = std::filesystem;

/// A backbone in two shards with all biases, and an adapter for it.
class MergedModel : public testing::Test {
 protected:
  void save(const fs::path& backbone, at::ScalarType dtype, const std::string& left_out = "") const {
    NamedRawTensors shards[2];
    std::string index;
    for (const auto& slot : decoder_->named_parameters()) {
      if (slot.key() == left_out) continue;
      const std::size_t shard = slot.key().find("layers.1.") != std::string::npos ? 1 : 0;
      shards[shard].emplace_back(slot.key(), to_raw(slot.value().detach().to(dtype)));
      index += str(index.empty() ? "" : ", ", '"', slot.key(), "\": \"shard-", shard, ".safetensors\"");
    }
    fs::create_directories(backbone);
    for (std::size_t i : {0, 1}) write_safetensors(backbone / str("shard-", i, ".safetensors"), shards[i]);
    write_bytes(backbone / "model.safetensors.index.json", "{\"weight_map\": {" + index + "}}");
    for (const char* name : {"config.json", "tokenizer.json", "generation_config.json", "chat_template.jinja"}) {
      write_bytes(backbone / name, name);
    }
    write_bytes(backbone / "pytorch_model.bin", "not copied");
  }

  const DecoderConfig config_ = tiny_biased_config();
  const std::unique_ptr<Decoder> decoder_ = tiny_decoder(config_);
  const Adapter adapter_{random_tree(config_.lora_spec(), 1, 7), {"identity", "backbone", "base", "shine"}, "adapter"};
  const TemporaryFolder folder_;
  const fs::path backbone_ = folder_.path() / "backbone", merged_ = folder_.path() / "merged";
};

TEST_F(MergedModel, AnswersAsTheBackboneWithTheAdapter) {
  save(backbone_, at::kFloat);
  write_merged_model(merged_, adapter_, backbone_, config_);
  Decoder merged(config_, {});
  load_decoder(merged, merged_);
  const at::NoGradGuard no_grad;
  const TokenRows rows = TokenRows::pack(random_rows({9, 4}, 3), at::kCPU);
  const at::Tensor expected = decoder_->logits(decoder_->forward(rows, &adapter_.tree));
  EXPECT_LT(relative_error(merged.logits(merged.forward(rows, nullptr)), expected), 1e-5);
  EXPECT_GT(relative_error(decoder_->logits(decoder_->forward(rows, nullptr)), expected), 1e-2);
}

TEST_F(MergedModel, SumsInFloat32AndRoundsOnce) {
  for (const at::ScalarType dtype : {at::kBFloat16, at::kHalf}) {
    const std::string name = c10::toString(dtype);
    const fs::path backbone = folder_.path() / name, merged = folder_.path() / (name + "-merged");
    save(backbone, dtype);
    write_merged_model(merged, adapter_, backbone, config_);
    const ModelFiles before(backbone), after(merged);
    EXPECT_EQ(before.names(), after.names());
    const LoraWeights& down = adapter_.tree.layers[1][Projection::down];
    for (const std::string& key : before.names()) {
      const at::Tensor old = to_tensor(before.tensor(key)), found = to_tensor(after.tensor(key));
      EXPECT_EQ(found.scalar_type(), dtype);
      EXPECT_EQ(before.where(key).filename(), after.where(key).filename());
      if (key == "model.layers.1.mlp.down_proj.weight") {
        EXPECT_TRUE(found.equal((old.to(at::kFloat) + down.a[0].mm(down.b[0]).t()).to(dtype))) << key;
      } else if (key == "model.layers.1.mlp.down_proj.bias") {
        EXPECT_TRUE(found.equal((old.to(at::kFloat) + down.c[0]).to(dtype))) << key;
      } else {
        EXPECT_EQ(found.equal(old), key.find("_proj.") == std::string::npos) << key;
      }
    }
  }
}

TEST_F(MergedModel, IsAWholeFolderWithItsIdentity) {
  save(backbone_, at::kFloat);
  write_merged_model(merged_, adapter_, backbone_, config_);
  for (const char* name : {"config.json", "tokenizer.json", "generation_config.json", "chat_template.jinja",
                           "model.safetensors.index.json"}) {
    EXPECT_EQ(read_bytes(merged_ / name), read_bytes(backbone_ / name)) << name;
  }
  EXPECT_FALSE(fs::exists(merged_ / "pytorch_model.bin"));
  const auto metadata = SafetensorsFile(merged_ / "shard-1.safetensors").metadata();
  EXPECT_EQ(metadata.at("format"), "pt");
  EXPECT_EQ(metadata.at("shine.identity"), "identity");
  expect_fault<IoError>("exists already", [&] { write_merged_model(merged_, adapter_, backbone_, config_); });
}

TEST_F(MergedModel, AMapThatIsNotAdaptedKeepsItsBytes) {
  save(backbone_, at::kFloat);
  Adapter adapter{random_tree(config_.lora_spec(), 1, 7), {}, "adapter"};
  LoraWeights& q = adapter.tree.layers[0][Projection::q];
  q.b = at::zeros_like(q.b);
  q.c = at::zeros_like(q.c);
  write_merged_model(merged_, adapter, backbone_, config_);
  const std::string weight = "model.layers.0.self_attn.q_proj.weight";
  EXPECT_TRUE(to_tensor(ModelFiles(merged_).tensor(weight)).equal(to_tensor(ModelFiles(backbone_).tensor(weight))));
}

TEST_F(MergedModel, RefusesWhatDoesNotFitAndLeavesNothing) {
  save(backbone_, at::kFloat, "model.layers.1.mlp.up_proj.weight");
  expect_fault<FormatError>("no model.layers.1.mlp.up_proj.weight",
                            [&] { write_merged_model(merged_, adapter_, backbone_, config_); });
  save(backbone_, at::kLong);
  expect_fault<UnsupportedError>("a weight of int64",
                                 [&] { write_merged_model(merged_, adapter_, backbone_, config_); });
  save(backbone_, at::kHalf);
  Adapter large{random_tree(config_.lora_spec(), 1, 7), {}, "adapter"};
  large.tree.layers[0][Projection::o].a = large.tree.layers[0][Projection::o].a * 1e6;
  expect_fault<UnsupportedError>("too large for float16",
                                 [&] { write_merged_model(merged_, large, backbone_, config_); });
  DecoderConfig wider = config_;
  wider.intermediate_size += 8;
  expect_fault<ShapeError>("do not fit model.layers.0.mlp.gate_proj",
                           [&] { write_merged_model(merged_, adapter_, backbone_, wider); });
  wider = config_;
  wider.layers = 3;
  expect_fault<ShapeError>("2 layers, and the backbone has 3",
                           [&] { write_merged_model(merged_, adapter_, backbone_, wider); });
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_.path()), fs::directory_iterator()), 1) << "the backbone alone";
}

}  // namespace
}  // namespace shine::test
