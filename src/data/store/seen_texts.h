#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace shine {

/// 128 bits of a text (XXH3): that two different ones among 10^10 texts share them has a chance of 10^-19.
using TextKey = std::array<std::uint64_t, 2>;
TextKey text_key(std::string_view text);

/// The texts that came before, in memory of a stated bound: an open hash table of 16 bytes a place, at most two thirds
/// of them taken.
class SeenTexts {
 public:
  /// @param max_bytes  of the table, that which it grows from among them
  explicit SeenTexts(std::uint64_t max_bytes) : max_bytes_(max_bytes) {}

  /// False where it was there. Throws ConfigError where the table would outgrow its bound.
  bool insert(const TextKey& key);

  std::size_t size() const { return count_; }
  std::uint64_t bytes() const { return places_.size() * sizeof(TextKey); }

 private:
  TextKey& place_of(const TextKey& key);
  void grow();

  std::uint64_t max_bytes_;
  std::size_t count_ = 0;
  std::vector<TextKey> places_;  ///< a power of two of them; {0, 0} is free
};

}  // namespace shine
