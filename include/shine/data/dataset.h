#pragma once

#include <cstddef>
#include <cstdint>

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

  /// A hash of everything the samples are made of, by which a resume notices other data; 0: unknown.
  virtual std::uint64_t fingerprint() const { return 0; }
};

}  // namespace shine
