#include <gtest/gtest.h>

#include "adapter/adapter_files.h"
#include "adapter/raw_adapter.h"
#include "io/expect_fault.h"
#include "shine/common/error.h"

namespace shine {
namespace {

using test::counting;
using test::expect_fault;

class OwnAdapter : public testing::Test {
 protected:
  OwnAdapter() {
    config_.qkv_bias = true;
    config_.o_bias = true;
  }

  RawAdapter read() const {
    write_safetensors(folder_.path() / "adapter.safetensors", {tensors_.begin(), tensors_.end()}, metadata_);
    return read_raw_adapter(folder_.path(), config_);
  }

  DecoderConfig config_ = test::small_decoder();
  std::map<std::string, std::string> metadata_{{"format", "shine-adapter-1"}, {"shine.identity", "0123456789abcdef"}};
  RawTensorDict tensors_{{"1.attention.q.A", counting({8, 2})},
                         {"1.attention.q.B", counting({2, 8})},
                         {"1.attention.q.C", counting({8})},
                         {"0.mlp.down.A", counting({6, 1})},
                         {"0.mlp.down.B", counting({1, 8})}};
  test::TemporaryFolder folder_;
};

TEST_F(OwnAdapter, ReadsTermsAndIdentity) {
  const RawAdapter adapter = read();
  EXPECT_EQ(adapter.format, AdapterFormat::shine);
  EXPECT_EQ(adapter.metadata.identity, "0123456789abcdef");
  ASSERT_TRUE(adapter.layers[1][0].has_value());
  EXPECT_EQ(test::numbers_of(*adapter.layers[1][0]->c)[7], 8);
  EXPECT_EQ(adapter.layers[1][0]->layout, PairLayout::ours);
  EXPECT_EQ(adapter.layers[0][6]->rank, 1);
}

TEST_F(OwnAdapter, RefusesOtherTensorsAndFormats) {
  for (const char* name : {"x", "1.q.A", "1.attention.q.D", "01.attention.q.A", "1.attention.gate.A", "1.A"}) {
    tensors_[name] = counting({8, 2});
    expect_fault<FormatError>(str("tensor \"", name, "\" is not known"), [&] { read(); });
    tensors_.erase(name);
  }
  tensors_["0.mlp.down.C"] = counting({8});
  expect_fault<FormatError>("this projection of the decoder has no bias", [&] { read(); });
  tensors_.erase("0.mlp.down.C");
  metadata_["format"] = "shine-adapter-2";
  expect_fault<FormatError>("\"format\" in the metadata is \"shine-adapter-2\", expected \"shine-adapter-1\"",
                            [&] { read(); });
  metadata_.erase("format");
  expect_fault<FormatError>("\"format\" in the metadata is missing", [&] { read(); });
}

}  // namespace
}  // namespace shine
