#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "shine/optim/param_groups.h"

namespace shine {

/// Where trained tensors lie in one flat buffer: group after group, in each the last tensor first, since its gradient
/// is ready first. Buckets consist of whole tensors and are communicated one by one; a bucket has equal pieces, one for
/// each rank if the optimizer is sharded. Tensors and buckets are padded.
class ParameterLayout {
 public:
  struct Place {
    std::size_t group = 0, index = 0;  ///< which tensor of the groups
    std::int64_t begin = 0, numel = 0;
  };

  struct Bucket {
    std::int64_t begin = 0, end = 0;
    std::vector<std::size_t> places;
  };

  /// A part of one tensor.
  struct Slice {
    std::size_t place = 0;
    std::int64_t begin = 0, numel = 0;  ///< in the flat buffer
  };

  /// @param pieces         of each bucket
  /// @param bucket_values  a bucket is full at so many values; a larger tensor is a bucket by itself
  ParameterLayout(const std::vector<ParamGroup>& groups, int pieces, std::int64_t bucket_values);

  int pieces() const { return pieces_; }
  const std::vector<Place>& places() const { return places_; }
  const std::vector<Bucket>& buckets() const { return buckets_; }
  std::int64_t numel() const { return buckets_.empty() ? 0 : buckets_.back().end; }  ///< padding included

  /// The values of one piece of a bucket.
  std::int64_t piece_numel(const Bucket& bucket) const { return (bucket.end - bucket.begin) / pieces_; }

  /// The parts of tensors in piece `piece` of each bucket, in order.
  std::vector<Slice> slices(int piece) const;

 private:
  int pieces_;
  std::vector<Place> places_;
  std::vector<Bucket> buckets_;
};

}  // namespace shine
