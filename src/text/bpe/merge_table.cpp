#include "text/bpe/merge_table.h"

#include <bit>

namespace shine {

MergeTable::MergeTable(std::span<const BpeMerge> merges)
    : entries_(std::bit_ceil(2 * merges.size() + 2)), mask_(entries_.size() - 1) {
  std::int32_t rank = 0;
  for (const BpeMerge& merge : merges) {
    const std::uint64_t key = pair_key(merge.left, merge.right);
    std::size_t at = home(key);
    while (entries_[at].key != kFree && entries_[at].key != key) at = (at + 1) & mask_;
    entries_[at] = {key, {rank++, merge.merged}};
  }
}

}  // namespace shine
