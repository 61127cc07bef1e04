#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "shine/data/sample.h"

namespace shine {

/// Samples by index. `sample` depends only on the dataset, the epoch and the index, so a resume needs just the epoch
/// and the position in it. It may be called from several threads at once.
class Dataset {
 public:
  virtual ~Dataset() = default;

  /// Samples per epoch, the same in every epoch.
  virtual std::size_t size() const = 0;

  /// @param epoch  from 0
  /// @param index  below size(); throws ConfigError otherwise
  virtual Sample sample(std::int64_t epoch, std::size_t index) const = 0;

  /// Approximate number of tokens of sample `index`, context and conversation together: used to balance work over ranks
  /// and to find samples of similar length. The same on every rank and in every epoch, at least 1, and cheap: it is
  /// called at every step. Default: all samples are equal.
  /// @param index  below size()
  virtual std::int64_t tokens(std::size_t /*index*/) const { return 1; }

  /// True where there may be too many samples for a list of their numbers: their order is then computed (Permutation)
  /// instead of stored, see SamplerOptions::computed_order.
  virtual bool has_computed_order() const { return false; }

  /// A hash of everything the samples are made of; a resume compares it. 0: unknown.
  virtual std::uint64_t fingerprint() const { return 0; }
};

/// Dataset::tokens of every sample, in order: SamplerOptions::tokens.
inline std::vector<std::int64_t> token_counts(const Dataset& dataset) {
  std::vector<std::int64_t> counts(dataset.size());
  for (std::size_t i = 0; i < counts.size(); ++i) counts[i] = dataset.tokens(i);
  return counts;
}

}  // namespace shine
