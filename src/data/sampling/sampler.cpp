#include "data/sampling/sampler.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>

#include "data/sampling/random_streams.h"
#include "shine/common/error.h"

namespace shine {
namespace {

/// Steps of a window of the order by_length: enough for lengths that differ little inside each, few enough for a window
/// to be a small part of a large epoch.
constexpr std::size_t kWindowSteps = 64;

std::size_t divide_up(std::size_t count, std::size_t by) {
  return count / by + (count % by == 0 ? 0 : 1);
}

std::string order_text(const SamplerState& state) {
  if (state.by_length_batch_size == 0) return "shuffled";
  return str("by_length in steps of ", state.by_length_accumulation, " x ", state.by_length_batch_size);
}

}  // namespace

Sampler::Sampler(std::size_t samples, SamplerOptions options)
    : options_(std::move(options)), state_{.epoch = 0, .next = 0, .samples = samples, .seed = options_.seed} {
  SHINE_CHECK(samples > 0, ConfigError, "there is no sample to train on");
  SHINE_CHECK(options_.batch_size > 0, ConfigError, "the batch size must be at least 1");
  SHINE_CHECK(options_.accumulation > 0, ConfigError, "a step must have at least 1 micro-batch");
  if (options_.order == SampleOrder::by_length) {
    SHINE_CHECK(
        !options_.computed_order, ConfigError,
        "the order by_length sorts lists of samples, and these are too many for a list (set data.order=shuffled)");
    SHINE_CHECK(options_.tokens.size() == samples, ConfigError, "the order by_length needs the tokens of ", samples,
                " samples, found those of ", options_.tokens.size());
    state_.by_length_batch_size = options_.batch_size;
    state_.by_length_accumulation = options_.accumulation;
  }
  arrange();
}

void Sampler::arrange() {
  if (options_.computed_order) {
    computed_.emplace(stream_of(state_.seed, RandomPurpose::sample_order, state_.epoch).next(), state_.samples);
    return;
  }
  order_.resize(state_.samples);
  std::iota(order_.begin(), order_.end(), std::size_t{0});
  Random random = stream_of(state_.seed, RandomPurpose::sample_order, state_.epoch);
  random.shuffle(order_);
  if (options_.order != SampleOrder::by_length) return;
  const std::size_t window = kWindowSteps * options_.accumulation * options_.batch_size;
  for (std::size_t begin = 0; begin < order_.size(); begin += window) {
    arrange_window(begin, std::min(order_.size(), begin + window), random);
  }
}

void Sampler::arrange_window(std::size_t begin, std::size_t end, Random& random) {
  using Batch = std::vector<std::size_t>;
  const auto at = [this](std::size_t place) { return order_.begin() + static_cast<std::ptrdiff_t>(place); };
  std::stable_sort(at(begin), at(end),
                   [this](std::size_t a, std::size_t b) { return options_.tokens[a] < options_.tokens[b]; });
  const std::size_t size = options_.batch_size, per_step = options_.accumulation;
  const std::size_t whole = (end - begin) / size, rest = (end - begin) % size;
  // The remainder goes to the end of the epoch: a smaller micro-batch, and the micro-batches of a smaller step. They
  // have any length, not always the longest.
  const std::size_t smaller = rest == 0 ? whole : static_cast<std::size_t>(random.below(whole + 1));
  const std::size_t left = whole % per_step;
  const std::size_t first_left = left == 0 ? whole : static_cast<std::size_t>(random.below(whole - left + 1));
  std::vector<std::vector<Batch>> steps;
  std::vector<Batch> last;
  for (std::size_t i = 0, in_steps = 0; i < whole; ++i) {
    const std::size_t from = begin + i * size + (i >= smaller ? rest : 0);
    const bool is_left = i >= first_left && i < first_left + left;
    if (!is_left && in_steps++ % per_step == 0) steps.emplace_back();
    (is_left ? last : steps.back()).emplace_back(at(from), at(from + size));
  }
  random.shuffle(steps);
  last.emplace_back(at(begin + smaller * size), at(begin + smaller * size + rest));
  steps.push_back(std::move(last));
  auto place = at(begin);
  for (const auto& step : steps) {
    for (const Batch& batch : step) place = std::ranges::copy(batch, place).out;
  }
}

StepPlan Sampler::next_step() {
  StepPlan plan{.epoch = state_.epoch, .batches = {}, .after = {}};
  while (plan.batches.size() < options_.accumulation && state_.next < state_.samples) {
    const std::size_t count = std::min(options_.batch_size, state_.samples - state_.next);
    std::vector<std::size_t>& batch = plan.batches.emplace_back();
    for (const std::size_t end = state_.next + count; state_.next < end; ++state_.next) {
      batch.push_back(sample_at(state_.next));
    }
  }
  if (state_.next == state_.samples) {
    ++state_.epoch;
    state_.next = 0;
    arrange();
  }
  plan.after = state_;
  return plan;
}

std::size_t Sampler::sample_at(std::size_t place) const {
  return computed_ ? static_cast<std::size_t>(computed_->at(place)) : order_[place];
}

std::size_t Sampler::steps_of(std::size_t samples) const {
  return divide_up(divide_up(samples, options_.batch_size), options_.accumulation);
}

void Sampler::restore(const SamplerState& state) {
  SHINE_CHECK(state.samples == state_.samples, ConfigError, "the saved place belongs to a dataset of ", state.samples,
              " samples, this one has ", state_.samples, " (continue with the same data and lengths)");
  SHINE_CHECK(state.seed == state_.seed, ConfigError, "the saved order has seed ", state.seed, ", this run has ",
              state_.seed, " (continue with the same seed)");
  SHINE_CHECK(state.epoch >= 0 && state.next < state.samples, ConfigError,
              "the saved place is outside the data: epoch ", state.epoch, ", sample ", state.next, " of ",
              state.samples);
  const SamplerState own = state_;
  if (state.next > 0) {
    const bool same_order = state.by_length_batch_size == own.by_length_batch_size &&
                            state.by_length_accumulation == own.by_length_accumulation;
    SHINE_CHECK(same_order, ConfigError, "the saved place is inside an epoch whose order is ", order_text(state),
                ", this run's is ", order_text(own),
                " (continue with the same data.order and, with by_length, the same optimizer.batch_size and "
                "optimizer.accumulation)");
    const std::size_t batch = own.by_length_batch_size;
    SHINE_CHECK(batch == 0 || state.next % batch == 0, ConfigError, "the saved place is inside a micro-batch: sample ",
                state.next, ", micro-batches of ", batch, " (the checkpoint is damaged)");
  }
  state_ = state;
  state_.by_length_batch_size = own.by_length_batch_size;
  state_.by_length_accumulation = own.by_length_accumulation;
  arrange();
}

}  // namespace shine
