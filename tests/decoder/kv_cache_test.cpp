#include "shine/decoder/kv_cache.h"

#include <gtest/gtest.h>

#include "decoder/tiny_kinds.h"
#include "shine/common/error.h"
#include "support/paths.h"

namespace shine::test {
namespace {

using Rows = std::vector<std::vector<std::int64_t>>;

constexpr double kRounding = 1e-5;

TokenRows pack(const Rows& rows) {
  return TokenRows::pack(rows, at::kCPU);
}

/// Tokens `from[i]` to `to[i]` of each row.
Rows part_of(const Rows& rows, const std::vector<std::size_t>& from, const std::vector<std::size_t>& to) {
  Rows part;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    part.emplace_back(rows[i].begin() + static_cast<std::ptrdiff_t>(from[i]),
                      rows[i].begin() + static_cast<std::ptrdiff_t>(to[i]));
  }
  return part;
}

/// Gives the rows to a cache in pieces that end at `ends` and compares the logits of every piece with those of the
/// whole rows at once.
void expect_pieces_equal_the_whole(const Decoder& decoder, const LoraTree* lora, const Rows& rows,
                                   const std::vector<std::vector<std::size_t>>& ends) {
  const at::NoGradGuard no_grad;
  const TokenRows whole = pack(rows);
  const at::Tensor expected = decoder.logits(decoder.forward(whole, lora));
  KvCache cache = make_cache(decoder, static_cast<std::int64_t>(rows.size()));
  std::vector<std::size_t> done(rows.size());
  for (const auto& end : ends) {
    const TokenRows piece = pack(part_of(rows, done, end));
    const at::Tensor found = decoder.logits(decoder.forward(piece, lora, cache));
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const auto length = piece.layout.length(static_cast<std::int64_t>(i));
      if (length == 0) continue;
      const auto start = whole.layout.starts[i] + static_cast<std::int64_t>(done[i]);
      EXPECT_LT(relative_error(found.narrow(0, piece.layout.starts[i], length), expected.narrow(0, start, length)),
                kRounding)
          << "row " << i << " from " << done[i];
      EXPECT_EQ(cache.lengths()[i], static_cast<std::int64_t>(end[i]));
    }
    done = end;
  }
}

const std::vector<std::vector<std::size_t>> kEnds{{5, 0, 30, 3},  {6, 1, 31, 4},  {7, 1, 32, 5}, {20, 1, 33, 5},
                                                  {21, 2, 69, 6}, {22, 3, 70, 7}, {70, 9, 70, 8}};

TEST(KvCache, PiecesEqualTheWholeForTinyModels) {
  const Rows rows = random_rows({70, 9, 70, 8}, 1);
  for (const DecoderConfig& config : {tiny_config(), tiny_biased_config(), tiny_readable_config()}) {
    for (const AttentionLayout layout : {AttentionLayout::per_row, AttentionLayout::padded}) {
      const auto decoder = tiny_decoder(config, {.attention = layout});
      expect_pieces_equal_the_whole(*decoder, nullptr, rows, kEnds);
      for (const std::int64_t adapters : {1, 2, 4}) {
        const LoraTree tree = random_tree(config.lora_spec(), adapters, 7);
        expect_pieces_equal_the_whole(*decoder, &tree, rows, kEnds);
      }
    }
  }
}

TEST(KvCache, PiecesEqualTheWholeForModelsOfTransformers) {
  for (const char* name : {"backbone_llama_1", "backbone_qwen3_2", "family_qwen2", "family_llama3",
                           "family_llama_biases", "family_mistral", "family_smollm3", "family_olmo2"}) {
    const auto folder = golden_dir() / "fixtures" / name / "backbone";
    Decoder decoder(read_decoder_config(folder / "config.json"), {});
    load_decoder(decoder, folder);
    Rows rows;
    for (const std::size_t length : {70, 9, 70, 8}) {
      rows.push_back(random_ids(length, length, decoder.config().vocab_size));
    }
    expect_pieces_equal_the_whole(decoder, nullptr, rows, kEnds);
  }
}

TEST(KvCache, RefusesRowsInWhichASlidingWindowWouldTakeEffect) {
  DecoderConfig config = tiny_config();
  config.sliding_window = config.max_positions = 6;
  const auto decoder = tiny_decoder(config);
  KvCache cache = make_cache(*decoder, 2);
  decoder->forward(pack(random_rows({6, 5}, 1)), nullptr, cache);
  EXPECT_NO_THROW(decoder->forward(pack(random_rows({0, 1}, 2)), nullptr, cache));
  EXPECT_THROW(decoder->forward(pack(random_rows({0, 1}, 3)), nullptr, cache), ShapeError);
  EXPECT_THROW(cache.reserve(7), ShapeError);
}

TEST(KvCache, GoesOnBehindATruncatedRow) {
  const auto decoder = tiny_decoder();
  KvCache cache = make_cache(*decoder, 2);
  const Rows first = random_rows({40, 12}, 1);
  decoder->forward(pack(first), nullptr, cache);
  cache.truncate(0, 6);
  cache.truncate(1, 0);
  const Rows next = random_rows({3, 5}, 9);
  const at::Tensor found = decoder->forward(pack(next), nullptr, cache);
  Rows whole{{first[0].begin(), first[0].begin() + 6}, next[1]};
  whole[0].insert(whole[0].end(), next[0].begin(), next[0].end());
  const at::NoGradGuard no_grad;
  const at::Tensor expected = decoder->forward(pack(whole), nullptr);
  EXPECT_LT(relative_error(found, expected.narrow(0, 6, 8)), kRounding);
  EXPECT_EQ(cache.lengths(), (std::vector<std::int64_t>{9, 5}));
}

TEST(KvCache, GrowsGeometricallyAndNotBeyondTheModelsPositions) {
  const auto decoder = tiny_decoder();  // 512 positions
  KvCache cache = make_cache(*decoder, 1);
  EXPECT_EQ(cache.capacity(), 0);
  std::vector<std::int64_t> capacities;
  for (std::size_t i = 0; i < 500; ++i) {
    decoder->forward(pack({{1}}), nullptr, cache);
    if (capacities.empty() || capacities.back() != cache.capacity()) capacities.push_back(cache.capacity());
  }
  EXPECT_EQ(capacities, (std::vector<std::int64_t>{64, 128, 256, 512}));
  KvCache large = make_cache(*decoder, 1);
  decoder->forward(pack({random_ids(300, 1)}), nullptr, large);
  decoder->forward(pack({{1}}), nullptr, large);
  EXPECT_EQ(large.capacity(), 512);
}

TEST(KvCache, IsAsItWasAfterAFault) {
  const auto decoder = tiny_decoder();
  KvCache cache = make_cache(*decoder, 2);
  const Rows first = random_rows({5, 7}, 1), next = random_rows({2, 1}, 5);
  decoder->forward(pack(first), nullptr, cache);
  const std::vector<std::int64_t> lengths = cache.lengths();
  EXPECT_THROW(decoder->forward(pack({{1, 99}, {2}}), nullptr, cache), ShapeError);
  const LoraTree three = random_tree(decoder->config().lora_spec(), 3, 7);
  EXPECT_THROW(decoder->forward(pack({{1, 3}, {2}}), &three, cache), ShapeError);
  EXPECT_THROW(decoder->forward(pack({{1, 3}}), nullptr, cache), ShapeError);
  EXPECT_EQ(cache.lengths(), lengths);
  const at::Tensor found = decoder->forward(pack(next), nullptr, cache);
  KvCache fresh = make_cache(*decoder, 2);
  decoder->forward(pack(first), nullptr, fresh);
  EXPECT_EQ(relative_error(found, decoder->forward(pack(next), nullptr, fresh)), 0.0);
}

TEST(KvCache, RefusesWhatItCannotHold) {
  const auto decoder = tiny_decoder();
  EXPECT_THROW(make_cache(*decoder, 0), ShapeError);
  KvCache cache = make_cache(*decoder, 1);
  EXPECT_THROW(cache.truncate(0, 1), ShapeError);
  EXPECT_THROW(cache.truncate(0, -1), ShapeError);
  RowLayout added;
  added.push(2);
  cache.begin_append(added);
  const at::Tensor right = random_tensor({2, 1, 8}, 1);
  EXPECT_NO_THROW(cache.append(0, right, right));
  EXPECT_THROW(cache.append(0, right, right.narrow(2, 0, 4)), ShapeError);
  EXPECT_THROW(cache.append(0, right.narrow(0, 0, 1), right.narrow(0, 0, 1)), ShapeError);
}

}  // namespace
}  // namespace shine::test
