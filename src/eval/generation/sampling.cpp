#include "eval/generation/sampling.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <unordered_set>
#include <vector>

namespace shine {
namespace {

constexpr float kCut = -std::numeric_limits<float>::infinity();

void penalise_repetition(std::span<float> logits, std::span<const std::int64_t> seen, float penalty) {
  std::unordered_set<std::int64_t> done;
  for (const std::int64_t id : seen) {
    if (id < 0 || id >= static_cast<std::int64_t>(logits.size()) || !done.insert(id).second) continue;
    float& logit = logits[static_cast<std::size_t>(id)];
    logit = logit < 0 ? logit * penalty : logit / penalty;
  }
}

void keep_top_k(std::span<float> logits, std::size_t k) {
  if (k >= logits.size()) return;
  std::vector<float> sorted(logits.begin(), logits.end());
  const auto kth = sorted.begin() + static_cast<std::ptrdiff_t>(k) - 1;
  std::nth_element(sorted.begin(), kth, sorted.end(), std::greater<>());
  std::ranges::replace_if(
      logits, [least = *kth](float logit) { return logit < least; }, kCut);
}

/// Cuts the least likely tokens as long as they hold at most 1 - p together.
void keep_top_p(std::span<float> logits, double p) {
  std::vector<std::size_t> order(logits.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::erase_if(order, [&](std::size_t id) { return logits[id] == kCut; });
  if (order.empty()) return;
  std::ranges::stable_sort(order, std::less<>(), [&](std::size_t id) { return logits[id]; });
  const double highest = logits[order.back()];
  double total = 0.0, held = 0.0;
  for (const std::size_t id : order) total += std::exp(logits[id] - highest);
  for (std::size_t i = 0; i + 1 < order.size(); ++i) {
    held += std::exp(logits[order[i]] - highest) / total;
    if (held > 1.0 - p) break;
    logits[order[i]] = kCut;
  }
}

}  // namespace

void process_logits(std::span<float> logits, std::span<const std::int64_t> seen, const DecodingConfig& decoding) {
  if (decoding.repetition_penalty != 1.0) {
    penalise_repetition(logits, seen, static_cast<float>(decoding.repetition_penalty));
  }
  if (decoding.temperature == 0.0) return;
  for (float& logit : logits) logit /= static_cast<float>(decoding.temperature);
  if (decoding.top_k > 0) keep_top_k(logits, static_cast<std::size_t>(decoding.top_k));
  if (decoding.top_p < 1.0) keep_top_p(logits, decoding.top_p);
}

std::int64_t likeliest_token(std::span<const float> logits) {
  return std::ranges::max_element(logits) - logits.begin();
}

std::int64_t draw_token(std::span<const float> logits, double where) {
  const double highest = *std::ranges::max_element(logits);
  double total = 0.0;
  for (const float logit : logits) total += std::exp(logit - highest);
  double left = where * total;
  std::int64_t last = 0;  // rounding may leave a rest behind the last token
  for (std::size_t id = 0; id < logits.size(); ++id) {
    const double weight = std::exp(logits[id] - highest);
    if (weight == 0.0) continue;
    last = static_cast<std::int64_t>(id);
    left -= weight;
    if (left < 0.0) break;
  }
  return last;
}

}  // namespace shine
