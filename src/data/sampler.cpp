#include "shine/data/sampler.h"

#include <algorithm>
#include <numeric>

#include "data/random_streams.h"
#include "shine/common/error.h"

namespace shine {

Sampler::Sampler(std::size_t samples, std::size_t batch_size, std::uint64_t seed)
    : batch_size_(batch_size), state_{.epoch = 0, .next = 0, .samples = samples, .seed = seed} {
  SHINE_CHECK(samples > 0, ConfigError, "there is no sample to train on");
  SHINE_CHECK(batch_size > 0, ConfigError, "the batch size must be at least 1");
  shuffle();
}

void Sampler::shuffle() {
  order_.resize(state_.samples);
  std::iota(order_.begin(), order_.end(), std::size_t{0});
  stream_of(state_.seed, RandomPurpose::sample_order, state_.epoch).shuffle(order_);
}

IndexBatch Sampler::next() {
  const std::size_t count = std::min(batch_size_, order_.size() - state_.next);
  const auto begin = order_.begin() + static_cast<std::ptrdiff_t>(state_.next);
  IndexBatch batch{.epoch = state_.epoch, .indices = {begin, begin + static_cast<std::ptrdiff_t>(count)}};
  state_.next += count;
  if (state_.next == order_.size()) {
    ++state_.epoch;
    state_.next = 0;
    shuffle();
  }
  return batch;
}

std::size_t Sampler::batches_per_epoch() const {
  return (order_.size() - 1) / batch_size_ + 1;
}

SamplerState Sampler::state() const {
  return state_;
}

void Sampler::restore(const SamplerState& state) {
  SHINE_CHECK(state.samples == state_.samples, ConfigError, "the saved place belongs to a dataset of ", state.samples,
              " samples, this one has ", state_.samples, " (go on with the same data and lengths)");
  SHINE_CHECK(state.seed == state_.seed, ConfigError, "the saved order has seed ", state.seed, ", this run has ",
              state_.seed, " (go on with the same seed)");
  SHINE_CHECK(state.epoch >= 0 && state.next < state.samples, ConfigError,
              "the saved place is outside the data: epoch ", state.epoch, ", sample ", state.next, " of ",
              state.samples);
  state_ = state;
  shuffle();
}

}  // namespace shine
