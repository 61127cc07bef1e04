#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "common/random.h"
#include "data/sampling/permutation.h"
#include "shine/config/data_config.h"

namespace shine {

/// The position of a sampler: all that an exact resume of the data needs. The members after `next` detect that the data
/// or the order changed.
struct SamplerState {
  std::int64_t epoch = 0;
  std::size_t next = 0;  ///< samples of the epoch that are done
  std::size_t samples = 0;
  std::uint64_t seed = 0;
  /// Samples in a micro-batch and micro-batches in a step with SampleOrder::by_length, which depends on both; 0 with
  /// shuffled, which does not.
  std::size_t by_length_batch_size = 0, by_length_accumulation = 0;

  bool operator==(const SamplerState&) const = default;
};

struct SamplerOptions {
  std::size_t batch_size = 1;    ///< samples in a micro-batch
  std::size_t accumulation = 1;  ///< micro-batches in an optimizer step, those of all ranks together
  std::uint64_t seed = 0;
  SampleOrder order = SampleOrder::shuffled;
  /// Dataset::tokens of each sample; only by_length needs them.
  std::vector<std::int64_t> tokens{};
  /// The order of an epoch is a Permutation, which takes no memory, instead of a list; not with by_length.
  bool computed_order = false;
};

/// The samples of one optimizer step, the same for any number of ranks.
struct StepPlan {
  std::int64_t epoch = 0;
  /// Sample indices of each micro-batch. At the end of an epoch there may be fewer, and the last may be smaller.
  std::vector<std::vector<std::size_t>> batches;
  SamplerState after;  ///< the position after the step
};

/// Every sample once per epoch, epoch after epoch without end; a step never spans two epochs.
///
/// shuffled: the order depends on (seed, epoch) and on computed_order only. by_length: samples of similar length share
/// a step, so that its micro-batches cost all ranks the same. The shuffled samples are taken in windows of 64 steps;
/// the samples of a window are sorted by their tokens, cut into steps, and the steps shuffled: the order depends on
/// (seed, epoch, batch_size, accumulation, tokens). Only the last step of an epoch has fewer micro-batches than the
/// others, and only its last micro-batch is smaller, in both orders.
class Sampler {
 public:
  /// Throws ConfigError for an empty dataset, a batch size or accumulation of 0, or, with by_length, unless `tokens`
  /// has an entry for each sample and the order is not a computed one.
  Sampler(std::size_t samples, SamplerOptions options);

  StepPlan next_step();

  /// Optimizer steps of an epoch from its start: ceil(ceil(samples / batch_size) / accumulation).
  std::size_t steps_per_epoch() const { return steps_of(state_.samples); }

  /// Optimizer steps from the position to the end of the current epoch, at least 1. If a position inside an epoch was
  /// reached with another batch size or accumulation, steps_per_epoch counts differently.
  std::size_t steps_left() const { return steps_of(state_.samples - state_.next); }

  /// The position after the last step returned by `next_step`; never the end of an epoch but the start of the next one.
  SamplerState state() const { return state_; }

  /// Continues from `state`. Batch size and accumulation may differ from those that reached it; but inside an epoch the
  /// order must be the same, and with by_length these two as well. Throws ConfigError otherwise, for another number of
  /// samples or another seed, and for a position outside the epoch.
  void restore(const SamplerState& state);

 private:
  std::size_t steps_of(std::size_t samples) const;
  std::size_t sample_at(std::size_t place) const;
  void arrange();
  void arrange_window(std::size_t begin, std::size_t end, Random& random);

  SamplerOptions options_;
  SamplerState state_;
  std::vector<std::size_t> order_;  ///< of the epoch; or, computed:
  std::optional<Permutation> computed_;
};

}  // namespace shine
