#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/random.h"
#include "shine/config/data_config.h"

namespace shine {

/// Where a sampler stands: all that an exact resume of the data needs. What follows `next` is kept to notice that the
/// data or the order changed.
struct SamplerState {
  std::int64_t epoch = 0;
  std::size_t next = 0;  ///< samples of the epoch that are behind
  std::size_t samples = 0;
  std::uint64_t seed = 0;
  /// Samples in a micro-batch and micro-batches in a step where the order is SampleOrder::by_length, which depends on
  /// both; 0: shuffled, which does not.
  std::size_t by_length_batch_size = 0, by_length_accumulation = 0;

  bool operator==(const SamplerState&) const = default;
};

struct SamplerOptions {
  std::size_t batch_size = 1;    ///< samples in a micro-batch
  std::size_t accumulation = 1;  ///< micro-batches in an optimizer step, those of all ranks together
  std::uint64_t seed = 0;
  SampleOrder order = SampleOrder::shuffled;
  /// Dataset::tokens of each sample; by_length needs them, shuffled does not look at them.
  std::vector<std::int64_t> tokens{};
};

/// The samples of one optimizer step, the same for any number of ranks.
struct StepPlan {
  std::int64_t epoch = 0;
  /// Indices of each micro-batch. At the end of an epoch there may be fewer, and the last may be smaller.
  std::vector<std::vector<std::size_t>> batches;
  SamplerState after;  ///< the place behind the step
};

/// Every sample once per epoch, epoch after epoch without end; a step never spans two epochs.
///
/// shuffled: the order depends on (seed, epoch) alone. by_length: samples of similar length share a step, so that its
/// micro-batches, whatever rank has them, are alike. The shuffled samples are taken in windows of 64 steps; the samples
/// of a window are sorted by their tokens, cut into steps, and these shuffled: the order depends on (seed, epoch,
/// batch_size, accumulation, tokens). Only the last step of an epoch has fewer micro-batches than the others, and only
/// its last micro-batch is smaller, in both orders.
class Sampler {
 public:
  /// Throws ConfigError for an empty dataset, a batch size or accumulation of 0, or, with by_length, unless `tokens`
  /// has an entry for each sample.
  Sampler(std::size_t samples, SamplerOptions options);

  StepPlan next_step();

  /// Optimizer steps of an epoch from its start: ceil(ceil(samples / batch_size) / accumulation).
  std::size_t steps_per_epoch() const { return steps_of(order_.size()); }

  /// Optimizer steps from the place to the end of the current epoch, at least 1. Where a place in the middle of an
  /// epoch was reached with another batch size or accumulation, these are not those that steps_per_epoch counts.
  std::size_t steps_left() const { return steps_of(order_.size() - state_.next); }

  /// The place behind the last step that `next_step` gave; never the end of an epoch but the start of the following
  /// one.
  SamplerState state() const { return state_; }

  /// Goes on from there. The batch size and accumulation may be others than those that reached the place; inside an
  /// epoch not so the order and, with by_length, these two. Throws ConfigError then, when the state belongs to another
  /// number of samples or another seed, or when it points outside the epoch.
  void restore(const SamplerState& state);

 private:
  std::size_t steps_of(std::size_t samples) const;
  void arrange();
  void arrange_window(std::size_t begin, std::size_t end, Random& random);

  SamplerOptions options_;
  SamplerState state_;
  std::vector<std::size_t> order_;
};

}  // namespace shine
