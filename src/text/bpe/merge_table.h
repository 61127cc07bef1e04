#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace shine {

struct BpeMerge {
  std::int32_t left = 0;
  std::int32_t right = 0;
  std::int32_t merged = 0;
};

struct MergeRule {
  std::int32_t rank = 0;  // the lowest is done first
  std::int32_t merged = 0;
};

/// Which pairs of tokens merge, in an open hash table.
class MergeTable {
 public:
  /// The last of several equal pairs counts.
  explicit MergeTable(std::span<const BpeMerge> merges);

  /// None if the pair does not merge.
  const MergeRule* find(std::int32_t left, std::int32_t right) const {
    const std::uint64_t key = pair_key(left, right);
    for (std::size_t at = home(key);; at = (at + 1) & mask_) {
      const Entry& entry = entries_[at];
      if (entry.key == key) return &entry.rule;
      if (entry.key == kFree) return nullptr;
    }
  }

 private:
  static constexpr std::uint64_t kFree = ~std::uint64_t{0};  // ids are not negative

  struct Entry {
    std::uint64_t key = kFree;
    MergeRule rule;
  };

  static std::uint64_t pair_key(std::int32_t left, std::int32_t right) {
    return (static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32) | static_cast<std::uint32_t>(right);
  }
  std::size_t home(std::uint64_t key) const {
    const std::uint64_t mixed = (key ^ (key >> 29)) * 0x9E3779B97F4A7C15U;
    return static_cast<std::size_t>(mixed ^ (mixed >> 32)) & mask_;
  }

  std::vector<Entry> entries_;  // a power of two, at most half of them taken
  std::size_t mask_ = 0;
};

}  // namespace shine
