#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "shine/data/sample.h"

namespace shine {

/// Samples by number. `sample` depends on nothing but the dataset, the epoch and the index, and may be called from
/// several threads at once: a resume needs the epoch and the place in it, nothing else.
class Dataset {
 public:
  virtual ~Dataset() = default;

  /// Samples per epoch, the same in every epoch.
  virtual std::size_t size() const = 0;

  /// @param epoch  from 0
  /// @param index  below size(); throws ConfigError otherwise
  virtual Sample sample(std::int64_t epoch, std::size_t index) const = 0;

  /// About how many tokens sample `index` has, context and conversation together: by this, work is balanced over ranks
  /// and samples of similar length are found. The same on every rank and in every epoch, at least 1, and quick: it is
  /// asked for at every step. Default: all samples are alike.
  /// @param index  below size()
  virtual std::int64_t tokens(std::size_t /*index*/) const { return 1; }

  /// A hash of everything the samples are made of, by which a resume notices other data; 0: unknown.
  virtual std::uint64_t fingerprint() const { return 0; }
};

/// Dataset::tokens of every sample, in order: SamplerOptions::tokens.
inline std::vector<std::int64_t> token_counts(const Dataset& dataset) {
  std::vector<std::int64_t> counts(dataset.size());
  for (std::size_t i = 0; i < counts.size(); ++i) counts[i] = dataset.tokens(i);
  return counts;
}

}  // namespace shine
