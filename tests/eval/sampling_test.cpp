#include "eval/generation/sampling.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

#include "common/random.h"
#include "io/json/json_file.h"
#include "support/paths.h"

namespace shine::test {
namespace {

using Json = nlohmann::json;

constexpr float kCut = -std::numeric_limits<float>::infinity();

TEST(Sampling, ProcessesLogitsAsTransformersDoes) {
  const Json cases = read_json_file(golden_dir() / "eval" / "sampling.json");
  ASSERT_EQ(cases.size(), 33U);
  for (const Json& tested : cases) {
    const Json& options = tested["options"];
    DecodingConfig decoding;
    decoding.temperature = options.value("temperature", 0.0);
    decoding.top_k = options.value("top_k", std::int64_t{0});
    decoding.top_p = options.value("top_p", 1.0);
    decoding.repetition_penalty = options.value("repetition_penalty", 1.0);
    auto logits = tested["logits"].get<std::vector<float>>();
    process_logits(logits, tested["seen"].get<std::vector<std::int64_t>>(), decoding);
    for (std::size_t id = 0; id < logits.size(); ++id) {
      const Json& expected = tested["processed"][id];
      if (expected.is_null()) {
        EXPECT_EQ(logits[id], kCut) << options << " id " << id;
      } else {
        EXPECT_NEAR(logits[id], expected.get<float>(), 1e-5) << options << " id " << id;
      }
    }
  }
}

TEST(Sampling, PenaltyLeavesOutIdsWithoutALogit) {
  std::vector<float> logits{1.0F, 2.0F};
  DecodingConfig decoding;
  decoding.repetition_penalty = 2.0;
  process_logits(logits, std::vector<std::int64_t>{2, -1, 100, 1}, decoding);
  EXPECT_EQ(logits, (std::vector<float>{1.0F, 1.0F}));
}

TEST(Sampling, LikeliestTokenIsTheFirstOfEqualOnes) {
  EXPECT_EQ(likeliest_token(std::vector<float>{0.0F, 3.0F, 1.0F, 3.0F}), 1);
  EXPECT_EQ(likeliest_token(std::vector<float>{kCut, kCut, -7.0F}), 2);
}

TEST(Sampling, DrawsTheTokenAtAPlaceOfTheCumulativeSoftmax) {
  const std::vector<float> logits{std::log(0.2F), kCut, std::log(0.5F), std::log(0.3F), kCut};
  EXPECT_EQ(draw_token(logits, 0.0), 0);
  EXPECT_EQ(draw_token(logits, 0.19), 0);
  EXPECT_EQ(draw_token(logits, 0.21), 2);
  EXPECT_EQ(draw_token(logits, 0.69), 2);
  EXPECT_EQ(draw_token(logits, 0.71), 3);
  EXPECT_EQ(draw_token(logits, std::nextafter(1.0, 0.0)), 3);
}

TEST(Sampling, DrawsFollowTheSoftmax) {
  const std::vector<double> probabilities{0.2, 0.0, 0.5, 0.3};
  std::vector<float> logits;
  for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p)) + 5.0F);
  std::vector<int> counts(4);
  Random random(3);
  constexpr int draws = 20000;
  for (int i = 0; i < draws; ++i) ++counts[static_cast<std::size_t>(draw_token(logits, random.uniform()))];
  for (std::size_t id = 0; id < 4; ++id) {
    const double p = probabilities[id];
    EXPECT_NEAR(counts[id], draws * p, 4.5 * std::sqrt(draws * p * (1.0 - p))) << id;
  }
}

}  // namespace
}  // namespace shine::test
