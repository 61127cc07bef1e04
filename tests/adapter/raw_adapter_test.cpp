#include "adapter/raw_adapter.h"

#include "adapter/adapter_files.h"
#include "io/expect_fault.h"
#include "shine/common/error.h"

namespace shine {
namespace {

using test::counting;
using test::expect_fault;

RawPair pair_of(AdapterFormat format, std::int64_t in, std::int64_t out) {
  const PairLayout layout = layout_of(format);
  RawPair pair{.layout = layout, .rank = 2};
  const bool ours = layout == PairLayout::ours;
  pair.a = counting(ours ? std::vector{in, 2L} : std::vector{2L, in});
  pair.b = counting(ours ? std::vector{2L, out} : std::vector{out, 2L}, 100);
  return pair;
}

/// Down in both layers and, which llama.cpp permutes, k.
RawAdapter adapter_of(AdapterFormat format) {
  RawAdapter adapter{.format = format, .metadata = {"0123456789abcdef", "00000000000000ff", "base", "shine 1"}};
  adapter.layers.resize(2);
  for (auto& layer : adapter.layers) {
    layer[static_cast<std::size_t>(Projection::down)] = pair_of(format, 6, 8);
    layer[static_cast<std::size_t>(Projection::k)] = pair_of(format, 8, 4);
  }
  return adapter;
}

class RawAdapterFiles : public testing::TestWithParam<AdapterFormat> {
 protected:
  test::TemporaryFolder folder_;
};

TEST_P(RawAdapterFiles, ReturnAsWritten) {
  for (const char* model_type : {"qwen3", "llama"}) {
    const DecoderConfig config = test::small_decoder(model_type);
    const auto path = folder_.path() / "new" / str("adapter-", model_type);
    const RawAdapter written = adapter_of(GetParam());
    write_raw_adapter(path, written, config);
    const RawAdapter read = read_raw_adapter(path, config);
    EXPECT_EQ(read.format, GetParam());
    EXPECT_EQ(read.metadata.identity, written.metadata.identity);
    EXPECT_EQ(read.metadata.backbone, written.metadata.backbone);
    EXPECT_EQ(read.metadata.base_model, written.metadata.base_model);
    EXPECT_EQ(read.metadata.tool, written.metadata.tool);
    for (std::size_t layer = 0; layer < 2; ++layer) {
      for (std::size_t p = 0; p < 7; ++p) {
        const auto& expected = written.layers[layer][p];
        const auto& found = read.layers[layer][p];
        ASSERT_EQ(found.has_value(), expected.has_value());
        if (!expected) continue;
        EXPECT_EQ(found->scale, 1.0);
        EXPECT_EQ(found->rank, 2);
        test::expect_equal(found->a, expected->a, "A");
        test::expect_equal(found->b, expected->b, "B");
      }
    }
  }
}

TEST_P(RawAdapterFiles, NeverReplaceWhatIsThere) {
  const auto file = folder_.write("x", "mine");
  expect_fault<IoError>("it exists already",
                        [&] { write_raw_adapter(file, adapter_of(GetParam()), test::small_decoder()); });
  EXPECT_EQ(test::read_bytes(file), "mine");
  std::filesystem::create_symlink("nowhere", folder_.path() / "link");
  expect_fault<IoError>("it exists already", [&] {
    write_raw_adapter(folder_.path() / "link", adapter_of(GetParam()), test::small_decoder());
  });
}

TEST_P(RawAdapterFiles, HoldCInOurOwnFormAlone) {
  DecoderConfig config = test::small_decoder();
  config.mlp_bias = true;
  RawAdapter adapter = adapter_of(GetParam());
  adapter.layers[1][static_cast<std::size_t>(Projection::down)]->c = counting({8});
  const auto path = folder_.path() / "x";
  if (GetParam() == AdapterFormat::shine) {
    write_raw_adapter(path, adapter, config);
    EXPECT_EQ(test::numbers_of(*read_raw_adapter(path, config).layers[1][6]->c)[7], 8);
  } else {
    expect_fault<UnsupportedError>("model.layers.1.mlp.down_proj has a term C",
                                   [&] { write_raw_adapter(path, adapter, config); });
    EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, RawAdapterFiles,
                         testing::Values(AdapterFormat::shine, AdapterFormat::peft, AdapterFormat::gguf,
                                         AdapterFormat::mlx),
                         [](const auto& each) {
                           return std::string(config_names(AdapterFormat{})[static_cast<std::size_t>(each.param)]);
                         });

TEST(RawAdapterPaths, SayWhatIsMissing) {
  const test::TemporaryFolder folder;
  const auto read = [&](const std::string& name) { read_raw_adapter(folder.path() / name, test::small_decoder()); };
  expect_fault<IoError>("no such file or folder", [&] { read("absent"); });
  expect_fault<IoError>("no adapter in this folder", [&] { read(""); });
  folder.write("x.bin", "text");
  expect_fault<FormatError>("not a GGUF file", [&] { read("x.bin"); });
  folder.write("adapter_model.safetensors", "");
  expect_fault<FormatError>("name its folder", [&] { read("adapter_model.safetensors"); });
  folder.write("adapter_config.json", "{}");
  expect_fault<FormatError>("neither \"peft_type\" nor \"lora_parameters\"", [&] { read(""); });
  folder.write("adapter_config.json", "[]");
  expect_fault<FormatError>("neither \"peft_type\" nor \"lora_parameters\"", [&] { read(""); });
  folder.write("adapter.safetensors", "");
  expect_fault<FormatError>("are of two adapters", [&] { read(""); });
}

TEST(RawAdapterPaths, AMergedModelIsNoAdapter) {
  const test::TemporaryFolder folder;
  RawAdapter adapter = adapter_of(AdapterFormat::peft);
  adapter.format = AdapterFormat::merged;
  expect_fault<UnsupportedError>("a merged model is no adapter",
                                 [&] { write_raw_adapter(folder.path() / "x", adapter, test::small_decoder()); });
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace shine
