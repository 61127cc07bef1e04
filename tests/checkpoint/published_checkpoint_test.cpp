#include "checkpoint/published_checkpoint.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "checkpoint/published_fixtures.h"
#include "checkpoint/raw_tensors.h"
#include "io/expect_fault.h"
#include "io/torch_format/torch_pickle.h"
#include "io/torch_format/torch_writer.h"
#include "shine/common/error.h"

namespace shine::test {
namespace {

namespace fs = std::filesystem;

class PublishedCheckpoint : public testing::Test {
 protected:
  fs::path make_checkpoint(const std::string& name) const {
    fs::create_directories(folder_.path() / name);
    write_bytes(folder_.path() / name / "metanetwork.pth", "");
    return folder_.path() / name;
  }

  const fs::path base_ = golden_dir() / "fixtures/base_0/checkpoint";
  TemporaryFolder folder_;
  fs::path copy_ = folder_.path() / "copy";
};

TEST_F(PublishedCheckpoint, IsWrittenAsThePublishedCodeDoes) {
  for (const fs::path& original : published_fixtures()) {
    SCOPED_TRACE(original);
    const fs::path copy = folder_.path() / original.parent_path().filename();
    write_published_checkpoint(copy, read_published_checkpoint(original), read_published_step(original));
    expect_same_published(copy, original);
  }
}

TEST_F(PublishedCheckpoint, OrdersLayersByNumberAndDoesWithoutBiases) {
  RawTensorDict weights = read_published_checkpoint(golden_dir() / "fixtures/linear_ll_4/checkpoint");
  for (int i = 0; i < 3; ++i) weights.erase(str("metanetwork.linear_layers.", i, ".bias"));
  for (int i = 3; i < 12; ++i) weights[str("metanetwork.linear_layers.", i, ".weight")] = raw_tensor({1.0F * i});
  write_published_checkpoint(copy_, weights, 5);
  const auto tensors = flatten_tensors(read_torch_file(copy_ / "metanetwork.pth"), "copy");
  ASSERT_EQ(tensors.size(), 14U);
  EXPECT_EQ(tensors[0].first, "layer_pe");
  EXPECT_EQ(tensors[1].first, "token_pe");
  for (std::size_t i = 0; i < 12; ++i) EXPECT_EQ(tensors[i + 2].first, str("linear_layers.", i, ".weight"));
  EXPECT_EQ(read_published_step(copy_), 5);
}

TEST_F(PublishedCheckpoint, KeepsTheRowsOfAddedTokens) {
  RawTensorDict weights = read_published_checkpoint(base_);
  weights["new_token_rows"] = raw_tensor({1, 2, 3});
  write_published_checkpoint(copy_, weights, 0);
  const RawTensorDict again = read_published_checkpoint(copy_);
  EXPECT_EQ(again.size(), weights.size());
  expect_equal(again.at("new_token_rows"), weights.at("new_token_rows"), "new_token_rows");
}

TEST_F(PublishedCheckpoint, NamesLoseWhatWrappersPutIn) {
  const RawTensorDict expected = read_published_checkpoint(base_);
  const auto read_with = [&](auto&& change) {
    fs::remove_all(copy_);
    fs::copy(base_, copy_, fs::copy_options::recursive);
    PickleValue state = read_torch_file(base_ / "metanetwork.pth");
    change(std::get<PickleDict>(state.value));
    write_torch_file(copy_ / "metanetwork.pth", state);
    return read_published_checkpoint(copy_);
  };
  for (const char* prefix : {"module.", "_orig_mod.", "module._orig_mod."}) {
    SCOPED_TRACE(prefix);
    const RawTensorDict found = read_with([&](PickleDict& state) {
      for (PickleEntry& entry : state) entry.key = prefix + std::get<std::string>(entry.key);
    });
    ASSERT_EQ(found.size(), expected.size());
    for (const auto& [name, tensor] : expected) expect_equal(found.at(name), tensor, name);
  }
  const RawTensorDict nested = read_with([&](PickleDict& state) {
    PickleValue inner{std::move(state), PickleType::ordered_dict};
    state = {{"epoch", {std::int64_t{3}}}, {"state_dict", std::move(inner)}};
  });
  ASSERT_EQ(nested.size(), expected.size());
  for (const auto& [name, tensor] : expected) expect_equal(nested.at(name), tensor, name);
  expect_fault<FormatError>("metanetwork.pth: tensor token_pe is there twice, under two names", [&] {
    read_with([](PickleDict& state) {
      const auto token_pe = std::ranges::find(state, PickleKey("token_pe"), &PickleEntry::key);
      ASSERT_NE(token_pe, state.end());
      state.push_back({"module.token_pe", token_pe->value});
    });
  });
}

TEST_F(PublishedCheckpoint, RefusesTensorsWithoutAPlaceAndMissingOnes) {
  const RawTensorDict weights = read_published_checkpoint(base_);
  const auto expect_refusal = [&](const std::string& part, auto&& change) {
    RawTensorDict changed = weights;
    change(changed);
    expect_fault<FormatError>(part, [&] { write_published_checkpoint(copy_, changed, 0); });
    expect_fault<FormatError>(part, [&] { check_published_names(changed, "here"); });
    EXPECT_FALSE(fs::exists(copy_));
  };
  for (const char* name : {"lm_head.weight", "metanetwork.norm.weight", "metanetwork.transformer_layers.9.norm1.bias",
                           "metanetwork.linear_layers.1.weight", "metalora.0.attention.q.D", "metalora.7.mlp.up.A"}) {
    expect_refusal(name, [&](RawTensorDict& changed) { changed[name] = raw_tensor({1}); });
  }
  for (const char* name :
       {"mem_tokens", "metanetwork.token_pe", "metanetwork.transformer_layers.1.norm1.bias", "metalora.1.mlp.up.B"}) {
    expect_refusal(str("tensor ", name, " is missing"), [&](RawTensorDict& changed) { changed.erase(name); });
  }
  expect_refusal("tensor metalora.0.attention.q.A is missing", [&](RawTensorDict& changed) {
    std::erase_if(changed, [](const auto& item) { return item.first.starts_with("metalora."); });
  });
}

TEST_F(PublishedCheckpoint, IsFoundInARunsFolder) {
  EXPECT_FALSE(find_published_checkpoint(folder_.path()));
  EXPECT_FALSE(find_published_checkpoint(folder_.path() / "absent"));
  fs::create_directories(folder_.path() / "checkpoint-900");  // without weights
  make_checkpoint("checkpoint-12x");
  make_checkpoint("checkpoint--1");
  EXPECT_FALSE(find_published_checkpoint(folder_.path()));
  make_checkpoint("checkpoint-99");
  const fs::path last_step = make_checkpoint("checkpoint-100");
  EXPECT_EQ(find_published_checkpoint(folder_.path()), last_step);
  make_checkpoint("checkpoint-epoch-2");
  const fs::path last_epoch = make_checkpoint("checkpoint-epoch-10");
  EXPECT_EQ(find_published_checkpoint(folder_.path()), last_epoch);
  const fs::path final_one = make_checkpoint("final");
  EXPECT_EQ(find_published_checkpoint(folder_.path()), final_one);
  EXPECT_EQ(find_published_checkpoint(last_step), last_step) << "a checkpoint that is named is taken";
}

TEST_F(PublishedCheckpoint, StepComesFromTheState) {
  EXPECT_EQ(read_published_step(folder_.path()), 0);
  write_bytes(folder_.path() / "trainer_state.json", R"({"global_step": 12, "more": 1})");
  EXPECT_EQ(read_published_step(folder_.path()), 12);
  write_bytes(folder_.path() / "trainer_state.json", R"({"global_step": -1})");
  expect_fault<FormatError>("is -1, expected 0 or more", [&] { read_published_step(folder_.path()); });
  write_bytes(folder_.path() / "trainer_state.json", "{}");
  expect_fault<FormatError>("global_step", [&] { read_published_step(folder_.path()); });
}

}  // namespace
}  // namespace shine::test
