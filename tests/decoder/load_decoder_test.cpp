#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "decoder/tiny_model.h"
#include "io/files/text_file.h"
#include "shine/common/error.h"
#include "shine/io/safetensors.h"
#include "support/paths.h"

namespace shine::test {
namespace {

NamedRawTensors weights_of(const Decoder& decoder, at::ScalarType dtype = at::kFloat) {
  NamedRawTensors tensors;
  for (const auto& [name, weight] : named_tensors(decoder)) tensors.emplace_back(name, to_raw(weight.to(dtype)));
  return tensors;
}

void write_shards(const std::filesystem::path& folder, const NamedRawTensors& tensors) {
  nlohmann::json index{{"metadata", {{"total_size", 1}}}, {"weight_map", nlohmann::json::object()}};
  NamedRawTensors shards[2];
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
  const auto weights = named_tensors(found), wanted = named_tensors(expected);
  ASSERT_EQ(weights.size(), wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_TRUE(at::equal(weights[i].tensor, wanted[i].tensor)) << wanted[i].name;
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
      const std::vector<at::Tensor> weights = loaded->parameters(), written = decoder->parameters();
      for (std::size_t i = 0; i < written.size(); ++i) {
        EXPECT_EQ(weights[i].scalar_type(), wanted);
        EXPECT_TRUE(at::equal(weights[i], written[i].to(dtype).to(wanted))) << i;
      }
    }
  }
}

TEST(LoadDecoder, ATiedModelMayHaveAStoredHead) {
  const TemporaryFolder folder;
  const auto decoder = tiny_decoder();
  NamedRawTensors tensors = weights_of(*decoder);
  tensors.emplace_back("lm_head.weight", tensors.front().second);
  write_safetensors(folder.path() / "model.safetensors", tensors);
  const auto loaded = load(folder.path(), tiny_config());
  expect_equal(*loaded, *decoder);
  const at::Tensor hidden = random_tensor({3, 16}, 1);
  EXPECT_TRUE(at::equal(loaded->logits(hidden), decoder->logits(hidden)));
}

TEST(LoadDecoder, OtherWritersNamesAreRead) {
  const auto decoder = tiny_decoder(tiny_biased_config());
  const auto expect_loaded = [&](auto&& rename) {
    const TemporaryFolder folder;
    NamedRawTensors tensors = weights_of(*decoder);
    for (auto& [name, tensor] : tensors) name = rename(name);
    write_safetensors(folder.path() / "model.safetensors", tensors);
    expect_equal(*load(folder.path(), tiny_biased_config()), *decoder);
  };
  expect_loaded([](const std::string& name) { return "module." + name; });
  expect_loaded([](const std::string& name) { return "_orig_mod.module." + name; });
  expect_loaded([](const std::string& name) { return name.starts_with("model.") ? name.substr(6) : name; });
  expect_loaded(
      [](const std::string& name) { return "module." + (name.starts_with("model.") ? name.substr(6) : name); });
}

TEST(LoadDecoder, RotaryFrequenciesOfOldFilesAreLeftOut) {
  const TemporaryFolder folder;
  const auto decoder = tiny_decoder();
  NamedRawTensors tensors = weights_of(*decoder);
  tensors.emplace_back("model.layers.0.self_attn.rotary_emb.inv_freq", to_raw(random_tensor({4}, 1)));
  tensors.emplace_back("model.rotary_emb.inv_freq", to_raw(random_tensor({4}, 1)));
  write_safetensors(folder.path() / "model.safetensors", tensors);
  expect_equal(*load(folder.path(), tiny_config()), *decoder);
}

TEST(LoadDecoder, ATensorUnderTwoNamesIsRefused) {
  const TemporaryFolder folder;
  NamedRawTensors tensors = weights_of(*tiny_decoder());
  tensors.emplace_back("norm.weight", to_raw(random_tensor({16}, 1)));
  write_safetensors(folder.path() / "model.safetensors", tensors);
  try {
    load(folder.path(), tiny_config());
    FAIL() << "loaded";
  } catch (const FormatError& error) {
    EXPECT_NE(std::string(error.what()).find("tensor model.norm.weight is there twice"), std::string::npos)
        << error.what();
  }
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
  NamedRawTensors tensors = weights_of(*tiny_decoder());
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
  const std::vector<at::Tensor> of_another_seed = other.parameters();
  std::size_t i = 0;
  for (const auto& [name, values] : named_tensors(first)) {
    if (values.dim() == 2) {
      const bool embedding = name == "model.embed_tokens.weight";
      const double expected = embedding ? 1.0 : 0.7 / std::sqrt(static_cast<double>(values.size(1)));
      EXPECT_NEAR(values.std().item<double>() / expected, 1.0, 0.1) << name;
      EXPECT_FALSE(at::equal(values, of_another_seed[i])) << name;
    } else {
      const double expected = name.ends_with("norm.weight") ? 1.0 : 0.0;
      EXPECT_TRUE(at::equal(values, at::full_like(values, expected))) << name;
    }
    ++i;
  }
  DecoderConfig tied = config;
  tied.tied_embeddings = true;
  Decoder small(tied, {});
  initialise_decoder(small, 0.7, 3);
  EXPECT_NEAR(small.parameters().front().std().item<double>() * 8.0, 1.0, 0.1);
}

/// Parameters that someone adds and forgets here.
TEST(InitialiseDecoder, AParameterWithoutAKnownFirstValueIsAnError) {
  const std::vector<std::pair<std::string, std::function<void(Decoder&)>>> additions{
      {"scale", [](Decoder& decoder) { decoder.register_parameter("scale", at::zeros({3}), false); }},
      {"model.layers.1.self_attn.sinks",
       [](Decoder& decoder) {
         Attention attention = decoder.layers()[1]->self_attn;
         attention->register_parameter("sinks", at::zeros({2}), false);
       }},
      {"model.layers.0.mlp.up_proj.norm_weight",
       [](Decoder& decoder) {
         Mlp mlp = decoder.layers()[0]->mlp;
         mlp->up_proj->register_parameter("norm_weight", at::zeros({24}), false);
       }},
  };
  for (const auto& [name, add] : additions) {
    Decoder decoder(tiny_config(), {});
    add(decoder);
    try {
      initialise_decoder(decoder, 0.7, 3);
      ADD_FAILURE() << name << " was given a value";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(name), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace shine::test
