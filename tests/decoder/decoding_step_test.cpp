#include "decoder/decoding_step.h"

#include <gtest/gtest.h>

#include "decoder/tiny_kinds.h"
#include "shine/common/error.h"

namespace shine::test {
namespace {

/// Logits of rows by the decoder's own cached forward, token by token, and by fixed steps.
class DecodingSteps : public testing::TestWithParam<TinyKind> {
 protected:
  static constexpr std::int64_t kRows = 4;

  DecoderConfig config() const { return GetParam().config(); }

  KvCache prompted(const LoraTree* lora, const std::vector<std::size_t>& lengths, std::int64_t places) const {
    KvCache cache = make_cache(*decoder_, kRows);
    cache.reserve(places);
    decoder_->forward(TokenRows::pack(random_rows(lengths, 1), at::kCPU), lora, cache);
    return cache;
  }

  std::unique_ptr<Decoder> decoder_ = tiny_decoder(config());
};
INSTANTIATE_TEST_SUITE_P(Families, DecodingSteps, testing::ValuesIn(kTinyKinds),
                         [](const auto& tested) { return std::string(tested.param.name); });

TEST_P(DecodingSteps, GiveTheLogitsOfTheCachedForward) {
  for (const std::int64_t adapters : {0, 1, 2, 4}) {
    const LoraTree tree = random_tree(config().lora_spec(), std::max<std::int64_t>(adapters, 1), 7);
    const LoraTree* lora = adapters > 0 ? &tree : nullptr;
    KvCache fixed = prompted(lora, {3, 0, 17, 254}, 300), plain = prompted(lora, {3, 0, 17, 254}, 0);
    DecodingStep step(*decoder_, lora, fixed, /*capture=*/true);
    for (std::uint64_t token = 0; token < 5; ++token) {  // over the end of the first window
      const std::vector<std::int64_t> ids = random_ids(kRows, 20 + token);
      const at::Tensor found = step.run(ids, {true, true, true, true}).clone();
      const auto rows = TokenRows::pack({{ids[0]}, {ids[1]}, {ids[2]}, {ids[3]}}, at::kCPU);
      const at::Tensor expected = decoder_->logits(decoder_->forward(rows, lora, plain));
      EXPECT_LT(relative_error(found, expected), 1e-5) << adapters << " adapters, token " << token;
      EXPECT_EQ(fixed.lengths(), plain.lengths());
    }
  }
}

TEST_P(DecodingSteps, RowsThatAreNotActiveStayAsTheyAre) {
  KvCache fixed = prompted(nullptr, {3, 5, 17, 1}, 40), plain = prompted(nullptr, {3, 5, 17, 1}, 0);
  DecodingStep step(*decoder_, nullptr, fixed, /*capture=*/false);
  step.run({1, 2, 3, 4}, {true, false, false, true});
  EXPECT_EQ(fixed.lengths(), (std::vector<std::int64_t>{4, 5, 17, 2}));
  const at::Tensor found = step.run({5, 6, 7, 8}, {true, true, true, true});
  decoder_->forward(TokenRows::pack({{1}, {}, {}, {4}}, at::kCPU), nullptr, plain);
  const at::Tensor expected =
      decoder_->logits(decoder_->forward(TokenRows::pack({{5}, {6}, {7}, {8}}, at::kCPU), nullptr, plain));
  EXPECT_LT(relative_error(found, expected), 1e-5);
}

TEST_P(DecodingSteps, FollowACacheThatHasGrown) {
  KvCache fixed = prompted(nullptr, {3, 5, 17, 1}, 20), plain = prompted(nullptr, {3, 5, 17, 1}, 0);
  DecodingStep step(*decoder_, nullptr, fixed, /*capture=*/false);
  step.run({1, 2, 3, 4}, {true, true, true, true});
  fixed.reserve(400);
  const at::Tensor found = step.run({5, 6, 7, 8}, {true, true, true, true});
  decoder_->forward(TokenRows::pack({{1}, {2}, {3}, {4}}, at::kCPU), nullptr, plain);
  const at::Tensor expected =
      decoder_->logits(decoder_->forward(TokenRows::pack({{5}, {6}, {7}, {8}}, at::kCPU), nullptr, plain));
  EXPECT_LT(relative_error(found, expected), 1e-5);
}

TEST_P(DecodingSteps, RefuseRowsWithoutAPlaceAndLorasThatDoNotFit) {
  KvCache cache = prompted(nullptr, {3, 5, 1, 1}, 0);
  DecodingStep step(*decoder_, nullptr, cache, /*capture=*/false);
  EXPECT_THROW(step.run({1, 2}, {true, true}), ShapeError);
  for (std::int64_t left = cache.capacity() - 5; left > 0; --left) step.run({1, 2, 3, 4}, {false, true, false, false});
  EXPECT_THROW(step.run({1, 2, 3, 4}, {false, true, false, false}), ShapeError);
  EXPECT_THROW(cache.count_appended(1), ShapeError);
  const LoraTree three = random_tree(config().lora_spec(), 3, 7);
  EXPECT_THROW(DecodingStep(*decoder_, &three, cache, /*capture=*/false), ShapeError);
}

}  // namespace
}  // namespace shine::test
