#include "data/store/seen_texts.h"

#include <xxhash.h>

#include <algorithm>
#include <utility>

#include "shine/common/error.h"

namespace shine {
namespace {

constexpr TextKey kFree{0, 0};
constexpr std::size_t kFirstPlaces = 1024;

}  // namespace

TextKey text_key(std::string_view text) {
  const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  const TextKey key{hash.low64, hash.high64};
  return key == kFree ? TextKey{1, 0} : key;
}

TextKey& SeenTexts::place_of(const TextKey& key) {
  const std::size_t mask = places_.size() - 1;
  std::size_t at = static_cast<std::size_t>(key[0]) & mask;
  while (places_[at] != kFree && places_[at] != key) at = (at + 1) & mask;
  return places_[at];
}

bool SeenTexts::insert(const TextKey& key) {
  if (3 * (count_ + 1) > 2 * places_.size()) grow();
  TextKey& place = place_of(key);
  if (place == key) return false;
  place = key;
  ++count_;
  return true;
}

void SeenTexts::grow() {
  const std::size_t wanted = std::max(kFirstPlaces, 2 * places_.size());
  const std::uint64_t bytes = (wanted + places_.size()) * sizeof(TextKey);
  SHINE_CHECK(bytes <= max_bytes_, ConfigError, "the table of texts seen needs ", bytes >> 20, " MiB after ", count_,
              " different ones, its bound is ", max_bytes_ >> 20,
              " (raise --unique-memory, or write the store without --unique)");
  std::vector<TextKey> before = std::exchange(places_, std::vector<TextKey>(wanted, kFree));
  for (const TextKey& key : before) {
    if (key != kFree) place_of(key) = key;
  }
}

}  // namespace shine
