#include "shine/adapter/adapter.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "adapter/adapter_files.h"
#include "shine/common/error.h"
#include "shine/common/version.h"
#include "support/faults.h"

namespace shine {
namespace {

using test::expect_fault;

/// Random numbers in A and B, and in C where there is a bias.
Adapter random_adapter(const DecoderConfig& config, std::int64_t rank, std::uint64_t seed) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  const LoraSpec spec = config.lora_spec();
  Adapter adapter{make_meta_lora(spec, rank, 1.0, generator), {"", "", "base", "shine 1"}, str("seed ", seed)};
  for_each_tensor(adapter.tree, [&](const std::string&, at::Tensor& tensor) { tensor.normal_(0, 1, generator); });
  return adapter;
}

void expect_equal(const LoraTree& found, const LoraTree& expected) {
  ASSERT_EQ(found.layers.size(), expected.layers.size());
  for (std::size_t layer = 0; layer < found.layers.size(); ++layer) {
    for (const Projection p : kProjections) {
      const LoraWeights& x = found.layers[layer][p];
      const LoraWeights& y = expected.layers[layer][p];
      EXPECT_TRUE(at::equal(x.a, y.a) && at::equal(x.b, y.b)) << layer << dotted_name(p);
      ASSERT_EQ(x.c.defined(), y.c.defined());
      EXPECT_TRUE(!x.c.defined() || at::equal(x.c, y.c)) << layer << dotted_name(p);
    }
  }
}

at::Tensor delta_of(const LoraTree& tree, std::size_t layer, Projection p) {
  return at::matmul(tree.layers[layer][p].a[0], tree.layers[layer][p].b[0]);
}

class AdapterFiles : public testing::Test {
 protected:
  Adapter written_and_read(const Adapter& adapter, const DecoderConfig& config, const AdapterOutput& output) {
    const auto path = folder_.path() / str("adapter-", count_++);
    write_adapter(path, adapter, config, output);
    return read_adapter(path, config);
  }

  test::TemporaryFolder folder_;
  int count_ = 0;
};

TEST_F(AdapterFiles, ReturnAsWrittenInEveryFormat) {
  for (const char* model_type : {"qwen3", "llama"}) {
    const DecoderConfig config = test::small_decoder(model_type);
    const Adapter adapter = random_adapter(config, 3, 1);
    for (const auto format : {AdapterFormat::shine, AdapterFormat::peft, AdapterFormat::gguf, AdapterFormat::mlx}) {
      const Adapter read = written_and_read(adapter, config, {format, at::kFloat});
      expect_equal(read.tree, adapter.tree);
      EXPECT_EQ(read.metadata.tool, "shine 1");
      EXPECT_EQ(read.metadata.base_model, "base");
    }
  }
}

TEST_F(AdapterFiles, HoldShortNumbers) {
  const DecoderConfig config = test::small_decoder();
  const Adapter adapter = random_adapter(config, 2, 2);
  for (const auto dtype : {at::kBFloat16, at::kHalf}) {
    Adapter rounded = random_adapter(config, 2, 2);
    for_each_tensor(rounded.tree, [&](const std::string&, at::Tensor& t) { t = t.to(dtype).to(at::kFloat); });
    for (const auto format : {AdapterFormat::shine, AdapterFormat::peft, AdapterFormat::gguf, AdapterFormat::mlx}) {
      expect_equal(written_and_read(adapter, config, {format, dtype}).tree, rounded.tree);
    }
  }
  Adapter large = random_adapter(config, 2, 2);
  large.tree.layers[1][Projection::up].b.fill_(1e5);
  expect_fault<UnsupportedError>("model.layers.1.mlp.up_proj is not finite, or too large for Half", [&] {
    write_adapter(folder_.path() / "large", large, config, {AdapterFormat::peft, at::kHalf});
  });
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "large"));
  expect_fault<UnsupportedError>("an adapter of Double numbers", [&] {
    write_adapter(folder_.path() / "large", large, config, {AdapterFormat::peft, at::kDouble});
  });
}

TEST_F(AdapterFiles, FoldTheScaleIntoB) {
  test::PeftFiles files;
  files.config["lora_alpha"] = 3;
  files.write(folder_.path() / "peft");
  const Adapter adapter = read_adapter(folder_.path() / "peft", test::small_decoder());
  const at::Tensor b = adapter.tree.layers[1][Projection::q].b;
  EXPECT_EQ(b.sizes(), at::IntArrayRef({1, 2, 8}));
  EXPECT_EQ(b[0][1][0].item<float>(), 1.5F * 1.5F);  // file: B (out, r) = 0.5, 1.5, ..; alpha / r = 1.5
  EXPECT_EQ(adapter.tree.layers[1][Projection::q].a[0][0][1].item<float>(), 9);  // A (r, in) = 1, 2, ..
  EXPECT_EQ(adapter.tree.layers[1][Projection::v].b.count_nonzero().item<std::int64_t>(), 0);
  files.config["lora_alpha"] = 1e39;
  files.write(folder_.path() / "peft");
  expect_fault<FormatError>("is not finite", [&] { read_adapter(folder_.path() / "peft", test::small_decoder()); });
}

TEST_F(AdapterFiles, FillRanksUpWithZeros) {
  test::PeftFiles files;
  for (int layer = 0; layer < 2; ++layer) files.add_pair(str("model.layers.", layer, ".mlp.down_proj"), 6, 8, 5);
  files.config["target_modules"] = {"q_proj", "down_proj"};
  files.config["rank_pattern"] = {{"down_proj", 5}};
  files.write(folder_.path() / "peft");
  const LoraTree tree = read_adapter(folder_.path() / "peft", test::small_decoder()).tree;
  EXPECT_EQ(tree.rank(), 5);
  const LoraWeights& q = tree.layers[0][Projection::q];
  EXPECT_EQ(q.a.sizes(), at::IntArrayRef({1, 8, 5}));
  EXPECT_EQ(q.a.slice(2, 2).count_nonzero().item<std::int64_t>(), 0);
  EXPECT_EQ(q.b.slice(1, 2).count_nonzero().item<std::int64_t>(), 0);
  EXPECT_EQ(q.a.slice(2, 0, 2).count_nonzero().item<std::int64_t>(), 16);
}

TEST_F(AdapterFiles, KeepCInOurOwnFormAlone) {
  DecoderConfig config = test::small_decoder();
  config.qkv_bias = true;
  config.o_bias = true;
  Adapter adapter = random_adapter(config, 2, 3);
  expect_equal(written_and_read(adapter, config, {AdapterFormat::shine, at::kFloat}).tree, adapter.tree);
  expect_fault<UnsupportedError>("has a term C, which this format cannot hold", [&] {
    written_and_read(adapter, config, {AdapterFormat::peft, at::kFloat});
  });
  for (LoraLayer& layer : adapter.tree.layers) {
    for (LoraWeights& weights : layer.projections) {
      if (weights.c.defined()) weights.c.zero_();
    }
  }
  expect_equal(written_and_read(adapter, config, {AdapterFormat::peft, at::kFloat}).tree, adapter.tree);
}

TEST_F(AdapterFiles, LeaveOutProjectionsThatAreZero) {
  const DecoderConfig config = test::small_decoder();
  Adapter adapter = random_adapter(config, 2, 4);
  for (LoraLayer& layer : adapter.tree.layers) {
    for (const Projection p : kProjections) {
      if (p == Projection::v) continue;
      layer[p].a.zero_();
      layer[p].b.zero_();
    }
  }
  adapter.tree.layers[0][Projection::v].b.zero_();
  const auto path = folder_.path() / "x";
  write_adapter(path, adapter, config, {AdapterFormat::peft, at::kFloat});
  EXPECT_EQ(SafetensorsFile(path / "adapter_model.safetensors").names().size(), 4U);
  expect_equal(read_adapter(path, config).tree, adapter.tree);
  for (LoraLayer& layer : adapter.tree.layers) layer[Projection::v].b.zero_();
  EXPECT_EQ(written_and_read(adapter, config, {AdapterFormat::mlx, at::kFloat}).tree.rank(), 2);
}

TEST_F(AdapterFiles, SayWhichProgramWroteThem) {
  const DecoderConfig config = test::small_decoder();
  Adapter adapter = random_adapter(config, 2, 6);
  adapter.metadata.tool.clear();
  EXPECT_EQ(written_and_read(adapter, config, {AdapterFormat::gguf, at::kFloat}).metadata.tool, "shine " + version());
  EXPECT_EQ(combine_adapters({{adapter, 1}, {adapter, 1}}).metadata.tool, "shine " + version());
}

TEST_F(AdapterFiles, MustFitTheDecoder) {
  const DecoderConfig config = test::small_decoder();
  Adapter adapter = random_adapter(config, 2, 5);
  DecoderConfig other = config;
  other.layers = 3;
  expect_fault<ShapeError>("an adapter of 2 layers for a decoder of 3", [&] {
    written_and_read(adapter, other, {AdapterFormat::peft, at::kFloat});
  });
  other = config;
  other.intermediate_size = 7;
  expect_fault<ShapeError>("mlp.gate", [&] { written_and_read(adapter, other, {AdapterFormat::peft, at::kFloat}); });
}

TEST(CombineAdapters, TheDeltaIsTheWeightedSum) {
  DecoderConfig config = test::small_decoder();
  config.qkv_bias = true;
  config.o_bias = true;
  const Adapter first = random_adapter(config, 2, 1), second = random_adapter(config, 3, 2);
  const Adapter sum = combine_adapters({{first, 0.5}, {second, -2.0}});
  EXPECT_EQ(sum.tree.rank(), 5);
  EXPECT_EQ(sum.where, "seed 1 + seed 2");
  for (std::size_t layer = 0; layer < 2; ++layer) {
    for (const Projection p : kProjections) {
      const at::Tensor expected = 0.5 * delta_of(first.tree, layer, p) - 2 * delta_of(second.tree, layer, p);
      EXPECT_TRUE(at::allclose(delta_of(sum.tree, layer, p), expected, 1e-5, 1e-5)) << dotted_name(p);
      const at::Tensor c = sum.tree.layers[layer][p].c;
      ASSERT_EQ(c.defined(), config.lora_spec()[p].has_bias);
      if (!c.defined()) continue;
      EXPECT_TRUE(at::allclose(c, 0.5 * first.tree.layers[layer][p].c - 2 * second.tree.layers[layer][p].c));
    }
  }
}

TEST(CombineAdapters, TheIdentityIsOfAllAndTheirWeights) {
  const DecoderConfig config = test::small_decoder();
  Adapter first = random_adapter(config, 2, 1);
  const Adapter second = random_adapter(config, 2, 2);
  const auto identity = [](const std::vector<WeightedAdapter>& all) { return combine_adapters(all).metadata.identity; };
  const std::string both = identity({{first, 1}, {second, 1}});
  EXPECT_EQ(both.size(), 16U);
  EXPECT_EQ(both, identity({{first, 1}, {second, 1}}));
  EXPECT_NE(both, identity({{second, 1}, {first, 1}}));
  EXPECT_NE(both, identity({{first, 1}, {second, 0.5}}));
  EXPECT_NE(both, identity({{first, 1}, {random_adapter(config, 2, 3), 1}}));
  first.metadata.identity = "0123456789abcdef";
  EXPECT_NE(both, identity({{first, 1}, {second, 1}}));
  EXPECT_EQ(identity({{first, 1}}), "0123456789abcdef") << "one alone, unchanged";
  EXPECT_NE(identity({{first, 2}}), "0123456789abcdef");
}

TEST(CombineAdapters, RefuseWhatIsOfTwoBackbones) {
  const DecoderConfig config = test::small_decoder();
  Adapter first = random_adapter(config, 2, 1), second = random_adapter(config, 2, 2);
  expect_fault<ConfigError>("no adapter", [] { combine_adapters({}); });
  expect_fault<ConfigError>("is not finite", [&] { combine_adapters({{first, std::nan("")}}); });
  DecoderConfig other = config;
  other.intermediate_size = 7;
  expect_fault<ShapeError>("seed 3: its sizes are not those of seed 1", [&] {
    combine_adapters({{first, 1}, {random_adapter(other, 2, 3), 1}});
  });
  second.metadata.backbone = "00000000000000aa";
  EXPECT_EQ(combine_adapters({{first, 1}, {second, 1}}).metadata.backbone, "00000000000000aa");
  first.metadata.backbone = "00000000000000bb";
  expect_fault<ConfigError>("seed 2: made for the backbone 00000000000000aa, others here for 00000000000000bb", [&] {
    combine_adapters({{first, 1}, {second, 1}});
  });
}

}  // namespace
}  // namespace shine
