#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace shine {

/// Where a sampler stands: all that an exact resume of the data needs. `samples` and `seed` are kept to notice that the
/// data or the order changed.
struct SamplerState {
  std::int64_t epoch = 0;
  std::size_t next = 0;
  std::size_t samples = 0;
  std::uint64_t seed = 0;

  bool operator==(const SamplerState&) const = default;
};

/// The indices of one micro-batch.
struct IndexBatch {
  std::int64_t epoch = 0;
  std::vector<std::size_t> indices;
};

/// Every sample once per epoch, in an order that depends on (seed, epoch) alone, epoch after epoch without end.
class Sampler {
 public:
  /// Throws ConfigError for an empty dataset or a batch size of 0.
  Sampler(std::size_t samples, std::size_t batch_size, std::uint64_t seed);

  /// The next batch_size indices; fewer at the end of an epoch.
  IndexBatch next();

  /// Batches per epoch, the last, smaller one included.
  std::size_t batches_per_epoch() const;

  /// The place after the last batch that `next` gave; never the end of an epoch but the start of the following one.
  SamplerState state() const;

  /// Goes on from there. Throws ConfigError when the state belongs to another number of samples or another seed, or
  /// points outside the epoch.
  void restore(const SamplerState& state);

 private:
  void shuffle();

  std::size_t batch_size_;
  SamplerState state_;
  std::vector<std::size_t> order_;
};

}  // namespace shine
