#include "shine/eval/generation.h"

#include <gtest/gtest.h>

#include <limits>

#include "decoder/tiny_model.h"
#include "shine/common/error.h"
#include "support/faults.h"

namespace shine::test {
namespace {

using Ids = std::vector<std::int64_t>;
using Rows = GenerationSession::Rows;

constexpr std::int64_t kNewTokens = 12;

GenerationOptions greedy(bool cache = true) {
  GenerationOptions options;
  options.decoding.max_new_tokens = kNewTokens;
  options.decoding.cache = cache;
  return options;
}

GenerationOptions sampling(std::uint64_t seed) {
  GenerationOptions options = greedy();
  options.decoding.temperature = 1.5;
  options.seed = seed;
  return options;
}

Rows ids_of(const std::vector<GeneratedText>& texts) {
  Rows rows;
  for (const GeneratedText& text : texts) rows.push_back(text.ids);
  return rows;
}

Rows generate(const Decoder& decoder, const LoraTree* lora, const Rows& prompts, const GenerationOptions& options) {
  GenerationSession session(decoder, lora, static_cast<std::int64_t>(prompts.size()));
  return ids_of(session.generate(prompts, options));
}

Ids joined(const Ids& first, const Ids& second) {
  Ids all = first;
  all.insert(all.end(), second.begin(), second.end());
  return all;
}

class GenerationKinds : public testing::TestWithParam<bool> {
 protected:
  DecoderConfig config() const { return GetParam() ? tiny_biased_config() : tiny_config(); }
  std::unique_ptr<Decoder> decoder_ = tiny_decoder(config());
};
INSTANTIATE_TEST_SUITE_P(Families, GenerationKinds, testing::Bool(), [](const auto& tested) {
  return tested.param ? std::string("LlamaWithBiases") : std::string("Qwen3");
});

TEST_P(GenerationKinds, GreedyTokensAreTheLikeliestOfAFullForward) {
  const Rows prompts = random_rows({7, 1, 12}, 1);
  const Rows found = generate(*decoder_, nullptr, prompts, greedy());
  const at::NoGradGuard no_grad;
  for (std::size_t row = 0; row < prompts.size(); ++row) {
    ASSERT_EQ(found[row].size(), static_cast<std::size_t>(kNewTokens));
    const TokenRows whole = TokenRows::pack({joined(prompts[row], found[row])}, at::kCPU);
    const at::Tensor best = decoder_->logits(decoder_->forward(whole, nullptr)).argmax(-1);
    for (std::size_t i = 0; i < found[row].size(); ++i) {
      EXPECT_EQ(found[row][i], best[static_cast<std::int64_t>(prompts[row].size() + i) - 1].item<std::int64_t>());
    }
  }
}

TEST_P(GenerationKinds, CachedAndUncachedTokensAgree) {
  const Rows prompts = random_rows({7, 1, 12, 60}, 1);
  const LoraTree tree = random_tree(config().lora_spec(), 2, 7);
  for (const LoraTree* lora : {static_cast<const LoraTree*>(nullptr), &tree}) {
    EXPECT_EQ(generate(*decoder_, lora, prompts, greedy()), generate(*decoder_, lora, prompts, greedy(false)));
  }
}

TEST_P(GenerationKinds, ADecoderMayBeConvertedAfterItWasMade) {
  const Rows prompts = random_rows({7, 12}, 1);
  const LoraTree lora = random_tree(config().lora_spec(), 2, 7);
  Decoder narrow(config(), {.dtype = at::kBFloat16});
  const std::vector<at::Tensor> from = decoder_->parameters(), to = narrow.parameters();
  for (std::size_t i = 0; i < to.size(); ++i) set_values(to[i], from[i].to(at::kBFloat16));
  decoder_->to(at::kBFloat16);
  EXPECT_EQ(generate(*decoder_, &lora, prompts, greedy()), generate(narrow, &lora, prompts, greedy()));
}

/// Every token by DecodingStep; on a CPU it runs its operations one by one.
GenerationOptions in_fixed_steps(GenerationOptions options) {
  options.decoding.cuda_graph = CudaGraph::on;
  return options;
}

TEST_P(GenerationKinds, FixedStepsWriteTheSameTokens) {
  const Rows prompts = random_rows({7, 1, 12, 250}, 1);
  for (const std::int64_t adapters : {0, 1, 2, 4}) {
    const LoraTree tree = random_tree(config().lora_spec(), std::max<std::int64_t>(adapters, 1), 7);
    const LoraTree* lora = adapters > 0 ? &tree : nullptr;
    for (const GenerationOptions& options : {greedy(), sampling(3)}) {
      EXPECT_EQ(generate(*decoder_, lora, prompts, in_fixed_steps(options)),
                generate(*decoder_, lora, prompts, options))
          << adapters;
    }
  }
}

TEST_P(GenerationKinds, FixedStepsGoOnBetweenTurnsAndFormsOfDecoding) {
  const LoraTree tree = random_tree(config().lora_spec(), 3, 7);
  GenerationSession session(*decoder_, &tree, 3);
  Rows prompts = random_rows({7, 90, 12}, 1);
  for (const bool fixed : {false, true, true, false, true}) {
    Rows asked = prompts;
    if (fixed) asked[1].clear();  // a row that is left out, longer than the others
    const GenerationOptions options = fixed ? in_fixed_steps(greedy()) : greedy();
    const Rows answers = ids_of(session.generate(asked, options));
    EXPECT_EQ(answers, generate(*decoder_, &tree, asked, greedy(false)));
    for (std::size_t row = 0; row < prompts.size(); ++row) {
      prompts[row] = joined(joined(prompts[row], answers[row]), random_ids(4 + row, row + prompts[row].size()));
    }
  }
}

TEST_P(GenerationKinds, RowsWithLorasEqualEachAlone) {
  const Rows prompts = random_rows({7, 3, 12, 5}, 1);
  std::vector<Rows> by_adapters;
  for (const std::int64_t adapters : {1, 2, 4}) {
    const LoraTree tree = random_tree(config().lora_spec(), adapters, 7);
    const Rows together = generate(*decoder_, &tree, prompts, greedy());
    for (std::size_t row = 0; row < prompts.size(); ++row) {
      const LoraTree mine = one_adapter(tree, static_cast<std::int64_t>(row) * adapters / 4);
      EXPECT_EQ(generate(*decoder_, &mine, {prompts[row]}, greedy())[0], together[row]) << row;
    }
    by_adapters.push_back(together);
  }
  EXPECT_NE(by_adapters[0], by_adapters[1]);
  EXPECT_NE(by_adapters[0], generate(*decoder_, nullptr, prompts, greedy()));
}

TEST_P(GenerationKinds, TurnsContinueTheirRow) {
  const LoraTree tree = random_tree(config().lora_spec(), 3, 7);
  GenerationSession session(*decoder_, &tree, 3);
  Rows prompts = random_rows({7, 3, 12}, 1);
  for (const bool cache : {true, true, false, true}) {
    const Rows answers = ids_of(session.generate(prompts, greedy(cache)));
    EXPECT_EQ(answers, generate(*decoder_, &tree, prompts, greedy(false)));
    for (std::size_t row = 0; row < prompts.size(); ++row) {
      prompts[row] = joined(joined(prompts[row], answers[row]), random_ids(4 + row, row + prompts[row].size()));
    }
  }
}

TEST_P(GenerationKinds, APromptMayBeginInAnyWay) {
  GenerationSession session(*decoder_, nullptr, 2);
  const Ids first = random_ids(20, 1), other = random_ids(15, 2);
  const Ids half(first.begin(), first.begin() + 10);
  const std::vector<Rows> calls{{first, other},
                                {first, other},
                                {half, joined(half, other)},
                                {other, joined(half, {3})},
                                {{5}, first},
                                {joined(first, other), {7}}};
  for (const Rows& prompts : calls) {
    EXPECT_EQ(ids_of(session.generate(prompts, greedy())), generate(*decoder_, nullptr, prompts, greedy(false)));
  }
}

TEST_P(GenerationKinds, AnEmptyPromptLeavesItsRowOutAndAsItWas) {
  const LoraTree tree = random_tree(config().lora_spec(), 4, 7);
  GenerationSession session(*decoder_, &tree, 4);
  const Rows prompts = random_rows({7, 3, 12, 5}, 1);
  const Rows all = generate(*decoder_, &tree, prompts, greedy(false));
  for (const Rows& call : std::vector<Rows>{{prompts[0], {}, prompts[2], {}},
                                            {{}, prompts[1], {}, {}},
                                            {{}, {}, {}, {}},
                                            {prompts[0], prompts[1], prompts[2], prompts[3]}}) {
    const auto texts = session.generate(call, greedy());
    for (std::size_t row = 0; row < 4; ++row) {
      EXPECT_EQ(texts[row].ids, call[row].empty() ? Ids{} : all[row]) << row;
      EXPECT_FALSE(texts[row].stopped);
    }
  }
}

TEST_P(GenerationKinds, StopTokensEndTheirRowAlone) {
  const Rows prompts = random_rows({7, 3, 12}, 4);
  const Rows all = generate(*decoder_, nullptr, prompts, greedy());
  GenerationOptions options = greedy();
  options.stop_ids = {all[1][3], all[2][0]};
  GenerationSession session(*decoder_, nullptr, 3);
  for (int again = 0; again < 2; ++again) {
    const auto texts = session.generate(prompts, options);
    for (std::size_t row = 0; row < 3; ++row) {
      const auto stop =
          std::find_first_of(all[row].begin(), all[row].end(), options.stop_ids.begin(), options.stop_ids.end());
      EXPECT_EQ(texts[row].ids, Ids(all[row].begin(), stop)) << row;
      EXPECT_EQ(texts[row].stopped, stop != all[row].end()) << row;
    }
    EXPECT_TRUE(texts[1].stopped && texts[2].stopped && texts[2].ids.empty());
  }
}

TEST_P(GenerationKinds, AnObserverSeesEveryTokenAndEndsItsRowAlone) {
  const Rows prompts = random_rows({7, 3, 12}, 4);
  const Rows all = generate(*decoder_, nullptr, prompts, greedy());
  GenerationSession session(*decoder_, nullptr, 3);
  for (const GenerationOptions& options : {greedy(), greedy(false), in_fixed_steps(greedy())}) {
    Rows seen(3);
    const auto texts = session.generate(prompts, options, [&](std::size_t row, std::int64_t id) {
      seen[row].push_back(id);
      return row != 1 || seen[row].size() < 4;
    });
    EXPECT_EQ(seen, ids_of(texts));
    EXPECT_EQ(seen[0], all[0]);
    EXPECT_EQ(seen[1], Ids(all[1].begin(), all[1].begin() + 4));
    EXPECT_FALSE(texts[1].stopped);
    EXPECT_EQ(seen[2], all[2]);
  }
  GenerationOptions stopping = greedy();
  stopping.stop_ids = {all[0][0]};
  const auto none = [](std::size_t row, std::int64_t) { return row != 0; };
  EXPECT_TRUE(session.generate({prompts[0], {}, {}}, stopping, none)[0].stopped) << "a stop token is not shown";
  const auto broken = [](std::size_t, std::int64_t) -> bool { throw Error("enough"); };
  EXPECT_THROW(session.generate(prompts, greedy(), broken), Error);
  EXPECT_EQ(ids_of(session.generate(prompts, greedy())), all);
}

TEST_P(GenerationKinds, DrawsDependOnSeedRowAndPlaceAlone) {
  const Rows prompts = random_rows({7, 3, 12}, 1);
  const Rows drawn = generate(*decoder_, nullptr, prompts, sampling(5));
  EXPECT_EQ(drawn, generate(*decoder_, nullptr, prompts, sampling(5)));
  EXPECT_NE(drawn, generate(*decoder_, nullptr, prompts, sampling(6)));
  EXPECT_NE(drawn, generate(*decoder_, nullptr, prompts, greedy()));
  EXPECT_EQ(drawn[0], generate(*decoder_, nullptr, {prompts[0]}, sampling(5))[0]);
  EXPECT_EQ(drawn[2], generate(*decoder_, nullptr, {{}, prompts[0], prompts[2]}, sampling(5))[2]);
  const Rows same = generate(*decoder_, nullptr, {prompts[0], prompts[0]}, sampling(5));
  EXPECT_NE(same[0], same[1]);
  GenerationOptions likeliest = sampling(5);
  likeliest.decoding.top_k = 1;
  EXPECT_EQ(generate(*decoder_, nullptr, prompts, likeliest), generate(*decoder_, nullptr, prompts, greedy()));
}

TEST_P(GenerationKinds, ALargeRepetitionPenaltyWritesNothingTwice) {
  GenerationOptions options = greedy();
  options.decoding.repetition_penalty = 1e6;
  const Ids prompt{3, 9, 27};
  Ids all = joined(prompt, generate(*decoder_, nullptr, {prompt}, options)[0]);
  std::ranges::sort(all);
  EXPECT_EQ(std::ranges::adjacent_find(all), all.end()) << join(all, " ");
}

TEST(Generation, WritesOnlyIdsOfTheSoftmaxButReadsNewOnes) {
  const auto decoder = tiny_decoder();
  decoder->set_new_token_rows(random_tensor({2, 16}, 1));
  decoder->set_softmax_size(6);
  for (const GenerationOptions& options : {greedy(), sampling(1)}) {
    const Rows found = generate(*decoder, nullptr, {{41, 30, 3}, {40}}, options);
    for (const Ids& row : found) {
      EXPECT_EQ(row.size(), static_cast<std::size_t>(kNewTokens));
      for (const std::int64_t id : row) EXPECT_LT(id, 6);
    }
  }
}

TEST(Generation, EndsAtTheModelsPositions) {
  DecoderConfig config = tiny_config();
  config.max_positions = 16;
  const auto decoder = tiny_decoder(config);
  const Rows prompts = random_rows({10, 15, 2}, 1);
  GenerationSession session(*decoder, nullptr, 3);
  for (const bool cache : {true, false}) {
    const auto texts = session.generate(prompts, greedy(cache));
    EXPECT_EQ(texts[0].ids.size(), 6U);
    EXPECT_EQ(texts[1].ids.size(), 1U);
    EXPECT_EQ(texts[2].ids.size(), 12U);
    for (const GeneratedText& text : texts) EXPECT_FALSE(text.stopped);
  }
  EXPECT_EQ(fault_of<ConfigError>([&] {
              session.generate({{1}, random_ids(16, 1), {2}}, greedy());
            }),
            "generation, row 1: a prompt of 16 tokens leaves no position for an answer: the model has 16 "
            "(max_position_embeddings or sliding_window) (shorten the context or the conversation)");
}

TEST(Generation, TakesATrainedLoraOfAnotherDtype) {
  const auto decoder = tiny_decoder(tiny_config(), {.dtype = at::kBFloat16});
  LoraTree tree = random_tree(tiny_config().lora_spec(), 1, 7);
  for_each_tensor(tree, [](const std::string&, at::Tensor& tensor) { tensor.requires_grad_(true); });
  const Rows prompts = random_rows({7, 3}, 1);
  EXPECT_EQ(generate(*decoder, &tree, prompts, greedy())[0].size(), static_cast<std::size_t>(kNewTokens));
}

TEST(Generation, RefusesWhatDoesNotFit) {
  const auto decoder = tiny_decoder();
  const LoraTree two = random_tree(tiny_config().lora_spec(), 2, 7);
  EXPECT_THROW(GenerationSession(*decoder, &two, 3), ShapeError);
  EXPECT_THROW(GenerationSession(*decoder, nullptr, 0), ShapeError);
  GenerationSession session(*decoder, nullptr, 2);
  EXPECT_THROW(session.generate({{1}}, greedy()), ShapeError);
  EXPECT_THROW(session.generate({{1}, {99}}, greedy()), ShapeError);
  GenerationOptions nothing = greedy();
  nothing.decoding.max_new_tokens = 0;
  EXPECT_THROW(session.generate({{1}, {2}}, nothing), ConfigError);
  const Rows prompts = random_rows({7, 3}, 1);  // and is as it was
  EXPECT_EQ(ids_of(session.generate(prompts, greedy())), generate(*decoder, nullptr, prompts, greedy(false)));
}

TEST(Generation, LogitsThatAreNotFiniteAreAnError) {
  const auto decoder = tiny_decoder();
  LoraTree tree = random_tree(tiny_config().lora_spec(), 2, 7);
  tree.layers[0][Projection::up].a[1].fill_(std::numeric_limits<float>::quiet_NaN());
  for (const GenerationOptions& options : {greedy(), sampling(1)}) {
    GenerationSession session(*decoder, &tree, 2);
    EXPECT_NO_THROW(session.generate({{1, 2}, {}}, options));
    expect_fault<Error>("generation, row 1: the logits are not finite", [&] {
      session.generate({{1, 2}, {3}}, options);
    });
  }
}

}  // namespace
}  // namespace shine::test
