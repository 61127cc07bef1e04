#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "decoder/tiny_model.h"
#include "shine/common/error.h"
#include "shine/io/safetensors.h"
#include "io/files/text_file.h"
#include "support/paths.h"

namespace shine::test {
namespace {

using NamedRaw = std::vector<std::pair<std::string, RawTensor>>;

NamedRaw weights_of(const Decoder& decoder, at::ScalarType dtype = at::kFloat) {
  NamedRaw tensors;
  for (const auto& slot : decoder.named_parameters()) {
    tensors.emplace_back(slot.key(), to_raw(slot.value().to(dtype)));
  }
  return tensors;
}

void write_shards(const std::filesystem::path& folder, const NamedRaw& tensors) {
  nlohmann::json index{{"metadata", {{"total_size", 1}}}, {"weight_map", nlohmann::json::object()}};
  NamedRaw shards[2];
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    shards[i % 2].push_back(tensors[i]);
    index["weight_map"][tensors[i].first] =
        i % 2 == 0 ? "model-00001-of-00002.safetensors" : "model-00002-of-00002.safetensors";
  }
  write_safetensors(folder / "model-00001-of-00002.safetensors", shards[0]);
  write_safetensors(folder / "model-00002-of-00002.safetensors", shards[1]);
  write_file_atomically(folder / "model.safetensors.index.json", index.dump());
}

std::unique_ptr<Decoder> load(const std::filesystem::path& folder, const DecoderConfig& config,
                              at::ScalarType dtype = at::kFloat) {
  auto decoder = std::make_unique<Decoder>(config, DecoderOptions{.dtype = dtype});
  load_decoder(*decoder, folder);
  return decoder;
}

void expect_equal(const Decoder& found, const Decoder& expected) {
  const auto& slots = expected.parameters().slots();
  ASSERT_EQ(found.parameters().slots().size(), slots.size());
  for (std::size_t i = 0; i < slots.size(); ++i) {
    EXPECT_TRUE(at::equal(*found.parameters().slots()[i].tensor, *slots[i].tensor)) << slots[i].name;
  }
}

TEST(LoadDecoder, ShardedEqualsSingleFile) {
  for (const DecoderConfig& config : {tiny_config(), tiny_biased_config()}) {
    const TemporaryFolder single, sharded;
    const auto decoder = tiny_decoder(config);
    write_safetensors(single.path() / "model.safetensors", weights_of(*decoder));
    write_shards(sharded.path(), weights_of(*decoder));
    expect_equal(*load(single.path(), config), *decoder);
    expect_equal(*load(sharded.path(), config), *decoder);
  }
}

TEST(LoadDecoder, HalfPrecisionFilesBecomeTheirCast) {
  for (const at::ScalarType dtype : {at::kBFloat16, at::kHalf}) {
    const TemporaryFolder folder;
    const auto decoder = tiny_decoder();
    write_safetensors(folder.path() / "model.safetensors", weights_of(*decoder, dtype));
    EXPECT_EQ(stored_dtype(folder.path()), dtype);
    for (const at::ScalarType wanted : {at::kFloat, dtype}) {
      const auto loaded = load(folder.path(), tiny_config(), wanted);
      for (std::size_t i = 0; i < decoder->parameters().slots().size(); ++i) {
        const at::Tensor found = *loaded->parameters().slots()[i].tensor;
        EXPECT_EQ(found.scalar_type(), wanted);
        EXPECT_TRUE(at::equal(found, decoder->parameters().slots()[i].tensor->to(dtype).to(wanted))) << i;
      }
    }
  }
}

TEST(LoadDecoder, ATiedModelMayHaveAStoredHead) {
  const TemporaryFolder folder;
  const auto decoder = tiny_decoder();
  NamedRaw tensors = weights_of(*decoder);
  tensors.emplace_back("lm_head.weight", tensors.front().second);
  write_safetensors(folder.path() / "model.safetensors", tensors);
  const auto loaded = load(folder.path(), tiny_config());
  expect_equal(*loaded, *decoder);
  const at::Tensor hidden = random_tensor({3, 16}, 1);
  EXPECT_TRUE(at::equal(loaded->logits(hidden), decoder->logits(hidden)));
}

TEST(LoadDecoder, AnUntiedModelNeedsItsHead) {
  DecoderConfig untied = tiny_config();
  untied.tied_embeddings = false;
  const TemporaryFolder folder;
  write_safetensors(folder.path() / "model.safetensors", weights_of(*tiny_decoder()));
  EXPECT_THROW(load(folder.path(), untied), ShapeError);
}

TEST(LoadDecoder, AllFaultsAreListedAtOnce) {
  const TemporaryFolder folder;
  NamedRaw tensors = weights_of(*tiny_decoder());
  std::erase_if(tensors, [](const auto& named) {
    return named.first == "model.norm.weight" || named.first == "model.layers.1.self_attn.q_norm.weight" ||
           named.first == "model.layers.0.mlp.up_proj.weight";
  });
  tensors.emplace_back("model.layers.0.mlp.up_proj.weight", to_raw(random_tensor({24, 15}, 1)));
  tensors.emplace_back("model.layers.0.self_attn.q_proj.bias", to_raw(random_tensor({16}, 1)));
  tensors.emplace_back("model.layers.7.extra", to_raw(random_tensor({1}, 1)));
  write_safetensors(folder.path() / "model.safetensors", tensors);
  try {
    load(folder.path(), tiny_config());
    FAIL() << "loaded";
  } catch (const ShapeError& error) {
    const std::string text = error.what();
    for (const char* part : {"2 missing", "model.norm.weight", "model.layers.1.self_attn.q_norm.weight", "2 unexpected",
                             "model.layers.0.self_attn.q_proj.bias", "model.layers.7.extra", "1 of another shape",
                             "model.layers.0.mlp.up_proj.weight expected (24, 16) found (24, 15)"}) {
      EXPECT_NE(text.find(part), std::string::npos) << part << " in: " << text;
    }
    EXPECT_NE(text.find(folder.path().string()), std::string::npos) << text;
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
  }
}

TEST(LoadDecoder, IntegerWeightsAreRefused) {
  const TemporaryFolder folder;
  write_safetensors(folder.path() / "model.safetensors", weights_of(*tiny_decoder(), at::kLong));
  EXPECT_THROW(load(folder.path(), tiny_config()), FormatError);
}

TEST(InitialiseDecoder, HasTheStatedSpreadAndDependsOnTheSeedAlone) {
  DecoderConfig config = tiny_biased_config();
  config.hidden_size = 64;
  config.vocab_size = 200;
  Decoder first(config, {}), again(config, {}), other(config, {});
  initialise_decoder(first, 0.7, 3);
  initialise_decoder(again, 0.7, 3);
  initialise_decoder(other, 0.7, 4);
  expect_equal(again, first);
  for (std::size_t i = 0; i < first.parameters().slots().size(); ++i) {
    const ParameterSlot& slot = first.parameters().slots()[i];
    const at::Tensor& values = slot.value();
    if (slot.value().dim() == 2) {
      const bool embedding = slot.key() == "model.embed_tokens.weight";
      const double expected = embedding ? 1.0 : 0.7 / std::sqrt(static_cast<double>(slot.value().sizes().vec()[1]));
      EXPECT_NEAR(values.std().item<double>() / expected, 1.0, 0.1) << slot.key();
      EXPECT_FALSE(at::equal(values, *other.parameters().slots()[i].tensor)) << slot.key();
    } else {
      const double expected = slot.key().ends_with("norm.weight") ? 1.0 : 0.0;
      EXPECT_TRUE(at::equal(values, at::full_like(values, expected))) << slot.key();
    }
  }
  DecoderConfig tied = config;
  tied.tied_embeddings = true;
  Decoder small(tied, {});
  initialise_decoder(small, 0.7, 3);
  EXPECT_NEAR(small.parameters().slots().front().tensor->std().item<double>() * 8.0, 1.0, 0.1);
}

}  // namespace
}  // namespace shine::test
