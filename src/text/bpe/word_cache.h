#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace shine {

/// A token and the bytes of the word it stands for.
struct BpeToken {
  std::int32_t id = 0;
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
  friend bool operator==(const BpeToken&, const BpeToken&) = default;
};

/// Caches the tokens of short words in a table of 2 MiB, where a new word replaces an older one. Thread-safe without
/// locks: while a slot is being written, reads miss and writes are dropped.
class WordCache {
 public:
  static constexpr std::size_t kWordBytes = 24;  // longer words are not remembered,
  static constexpr std::size_t kTokens = 6;      // nor are words of more tokens

  WordCache();

  /// Appends the tokens of a word; false if it is not known.
  bool find(std::string_view word, std::vector<BpeToken>& tokens) const;

  void store(std::string_view word, std::span<const BpeToken> tokens);

 private:
  using Atomic = std::atomic<std::uint64_t>;

  // The state tells how often the slot was written (odd: it is being written), the sizes of word and tokens. Whoever
  // reads the same even state before and after reading the rest has read one word's entry.
  struct alignas(64) Slot {
    Atomic state = 0;
    std::array<Atomic, kWordBytes / 8> word = {};
    std::array<Atomic, kTokens / 2> ids = {};
    Atomic places = 0;  // begin and end of each token, five bits each
  };
  struct Key;

  std::vector<Slot> slots_;
};

}  // namespace shine
