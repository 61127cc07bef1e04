#include "optim/parameter_layout.h"

#include <algorithm>

namespace shine {
namespace {

/// Tensors begin at multiples of 64 bytes, for vector instructions.
constexpr std::int64_t kAlignment = 16;

std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace

ParameterLayout::ParameterLayout(const std::vector<ParamGroup>& groups, int pieces, std::int64_t bucket_values)
    : pieces_(pieces) {
  std::int64_t end = 0;
  const auto close = [&] {
    if (buckets_.empty()) return;
    end = buckets_.back().begin + round_up(end - buckets_.back().begin, kAlignment * pieces_);
    buckets_.back().end = end;
  };
  for (std::size_t group = 0; group < groups.size(); ++group) {
    for (std::size_t index = groups[group].tensors.size(); index-- > 0;) {
      const std::int64_t numel = groups[group].tensors[index].numel();
      if (buckets_.empty() || end + numel - buckets_.back().begin > bucket_values) {
        close();
        buckets_.push_back({end, end, {}});
      }
      buckets_.back().places.push_back(places_.size());
      places_.push_back({group, index, end, numel});
      end = round_up(end + numel, kAlignment);
    }
  }
  close();
}

std::vector<ParameterLayout::Slice> ParameterLayout::slices(int piece) const {
  std::vector<Slice> result;
  for (const Bucket& bucket : buckets_) {
    const std::int64_t first = bucket.begin + piece * piece_numel(bucket), last = first + piece_numel(bucket);
    for (const std::size_t place : bucket.places) {
      const std::int64_t begin = std::max(first, places_[place].begin);
      const std::int64_t end = std::min(last, places_[place].begin + places_[place].numel);
      if (begin < end) result.push_back({place, begin, end - begin});
    }
  }
  return result;
}

}  // namespace shine
