#include "text/bpe/word_cache.h"

#include <cstring>

namespace shine {
namespace {

constexpr std::size_t kSlots = 1 << 15;
constexpr int kPlaceBits = 5;
constexpr std::uint64_t kPlaceMask = (1 << kPlaceBits) - 1;
static_assert(WordCache::kWordBytes <= kPlaceMask && 2 * kPlaceBits * WordCache::kTokens <= 64);

// The state: bits 0 to 7 the word's size (0: the slot is free), 8 to 15 the number of tokens, 16 up the count of
// writes.
constexpr int kTokensShift = 8;
constexpr std::uint64_t kByteMask = 0xFF;
constexpr std::uint64_t kOneWrite = 1 << 16;

constexpr bool is_being_written(std::uint64_t state) {
  return (state & kOneWrite) != 0;
}

}  // namespace

struct WordCache::Key {
  std::array<std::uint64_t, kWordBytes / 8> words = {};
  std::size_t hash = 0;

  explicit Key(std::string_view word) {
    std::memcpy(words.data(), word.data(), word.size());
    std::uint64_t mixed = word.size();
    for (const std::uint64_t part : words) {
      mixed = (mixed ^ part) * 0x9E3779B97F4A7C15U;
      mixed ^= mixed >> 32;
    }
    hash = static_cast<std::size_t>(mixed) % kSlots;
  }
};

WordCache::WordCache() : slots_(kSlots) {}

bool WordCache::find(std::string_view word, std::vector<BpeToken>& tokens) const {
  if (word.empty() || word.size() > kWordBytes) return false;
  const Key key(word);
  for (const std::size_t index : {key.hash, key.hash ^ 1}) {
    const Slot& slot = slots_[index];
    const std::uint64_t state = slot.state.load(std::memory_order_acquire);
    if (is_being_written(state) || (state & kByteMask) != word.size()) continue;
    bool is_equal = true;
    for (std::size_t i = 0; i < key.words.size(); ++i) {
      is_equal = is_equal && slot.word[i].load(std::memory_order_acquire) == key.words[i];
    }
    if (!is_equal) continue;
    std::array<std::uint64_t, kTokens / 2> ids;
    for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = slot.ids[i].load(std::memory_order_acquire);
    std::uint64_t places = slot.places.load(std::memory_order_acquire);
    if (slot.state.load(std::memory_order_relaxed) != state) return false;
    const std::size_t count = (state >> kTokensShift) & kByteMask;
    for (std::size_t i = 0; i < count; ++i) {
      const auto id = static_cast<std::uint32_t>(ids[i / 2] >> (i % 2 * 32));
      tokens.push_back({static_cast<std::int32_t>(id), static_cast<std::uint32_t>(places & kPlaceMask),
                        static_cast<std::uint32_t>(places >> kPlaceBits & kPlaceMask)});
      places >>= 2 * kPlaceBits;
    }
    return true;
  }
  return false;
}

void WordCache::store(std::string_view word, std::span<const BpeToken> tokens) {
  if (word.empty() || word.size() > kWordBytes || tokens.size() > kTokens) return;
  const Key key(word);
  const bool is_free = (slots_[key.hash].state.load(std::memory_order_relaxed) & kByteMask) == 0;
  const bool next_is_free = (slots_[key.hash ^ 1].state.load(std::memory_order_relaxed) & kByteMask) == 0;
  Slot& slot = slots_[!is_free && next_is_free ? key.hash ^ 1 : key.hash];
  std::uint64_t state = slot.state.load(std::memory_order_relaxed);
  if (is_being_written(state)) return;
  if (!slot.state.compare_exchange_strong(state, state + kOneWrite, std::memory_order_acquire)) return;
  std::array<std::uint64_t, kTokens / 2> ids = {};
  std::uint64_t places = 0;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    ids[i / 2] |= static_cast<std::uint64_t>(static_cast<std::uint32_t>(tokens[i].id)) << (i % 2 * 32);
    const std::uint64_t place = tokens[i].begin | tokens[i].end << kPlaceBits;
    places |= place << (2 * kPlaceBits * static_cast<int>(i));
  }
  for (std::size_t i = 0; i < key.words.size(); ++i) slot.word[i].store(key.words[i], std::memory_order_release);
  for (std::size_t i = 0; i < ids.size(); ++i) slot.ids[i].store(ids[i], std::memory_order_release);
  slot.places.store(places, std::memory_order_release);
  const std::uint64_t writes = (state & ~(kOneWrite - 1)) + 2 * kOneWrite;
  slot.state.store(writes | tokens.size() << kTokensShift | word.size(), std::memory_order_release);
}

}  // namespace shine
