#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "data/dataset.h"

namespace shine {

/// Several data sets as one. A weight says how often the samples of a part come in an epoch: 1 once, 2 twice, 0.5 every
/// other epoch. A part goes through all its samples, in an order of its own, before one comes again, whatever the
/// weight; what is drawn for a sample is drawn anew at each pass.
class MixedDataset : public Dataset {
 public:
  struct Part {
    std::shared_ptr<const Dataset> dataset;
    double weight = 1;
  };

  /// Throws ConfigError where there is no part, one has no sample, or a weight is not above 0 and finite.
  MixedDataset(std::vector<Part> parts, std::uint64_t seed);

  std::size_t size() const override { return starts_.back(); }
  Sample sample(std::int64_t epoch, std::size_t index) const override;

  /// The mean over samples of the part: which sample comes at an index depends on the epoch.
  std::int64_t tokens(std::size_t index) const override;
  std::uint64_t fingerprint() const override { return fingerprint_; }
  bool has_computed_order() const override { return true; }

 private:
  std::size_t part_of(std::size_t index) const;

  std::vector<Part> parts_;
  std::vector<std::size_t> starts_{0};  ///< the first index of each part, and the end
  std::vector<std::int64_t> tokens_;    ///< of a sample of each part
  std::uint64_t seed_;
  std::uint64_t fingerprint_ = 0;
};

}  // namespace shine
