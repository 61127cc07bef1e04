#include "data/store/mixed_dataset.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/hash.h"
#include "data/sampling/permutation.h"
#include "data/sampling/random_streams.h"
#include "shine/common/error.h"

namespace shine {
namespace {

constexpr double kMostSamples = 1e15;
constexpr std::size_t kMeasured = 1000;

/// The mean over samples spread evenly: the same on every rank, and no longer to find for a larger part.
std::int64_t mean_tokens(const Dataset& dataset) {
  const std::size_t size = dataset.size(), count = std::min(size, kMeasured);
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < count; ++i) sum += dataset.tokens(i * (size / count));
  return std::max<std::int64_t>(1, sum / static_cast<std::int64_t>(count));
}

}  // namespace

MixedDataset::MixedDataset(std::vector<Part> parts, std::uint64_t seed) : parts_(std::move(parts)), seed_(seed) {
  SHINE_CHECK(!parts_.empty(), ConfigError, "there is no data set to mix");
  Fnv1a hash;
  hash.add(seed_);
  for (const Part& part : parts_) {
    const std::size_t size = part.dataset->size();
    SHINE_CHECK(size > 0, ConfigError, "a data set without samples cannot be mixed");
    const double count = part.weight * static_cast<double>(size);
    SHINE_CHECK(part.weight > 0 && count < kMostSamples, ConfigError,
                "the weight of a data set must be above 0, found ", part.weight, " (or is too large)");
    starts_.push_back(starts_.back() + std::max<std::size_t>(1, static_cast<std::size_t>(std::llround(count))));
    tokens_.push_back(mean_tokens(*part.dataset));
    hash.add(part.dataset->fingerprint()).add(part.weight);
  }
  fingerprint_ = hash.value();
}

std::size_t MixedDataset::part_of(std::size_t index) const {
  SHINE_CHECK(index < size(), ConfigError, "there is no sample ", index, ", the dataset has ", size());
  return static_cast<std::size_t>(std::ranges::upper_bound(starts_, index) - starts_.begin()) - 1;
}

Sample MixedDataset::sample(std::int64_t epoch, std::size_t index) const {
  const std::size_t number = part_of(index);
  const Dataset& dataset = *parts_[number].dataset;
  const std::uint64_t per_epoch = starts_[number + 1] - starts_[number];
  const std::uint64_t place = static_cast<std::uint64_t>(epoch) * per_epoch + (index - starts_[number]);
  const std::uint64_t pass = place / dataset.size();
  Random random = stream_of(seed_, RandomPurpose::mixed_order, static_cast<std::int64_t>(pass), number);
  const Permutation order(random.next(), dataset.size());
  return dataset.sample(static_cast<std::int64_t>(pass), static_cast<std::size_t>(order.at(place % dataset.size())));
}

std::int64_t MixedDataset::tokens(std::size_t index) const {
  return tokens_[part_of(index)];
}

}  // namespace shine
