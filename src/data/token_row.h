#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "common/hash.h"

namespace shine {

/// Shortens the row to `max_length`; returns how many tokens went.
inline std::int64_t cut(std::vector<std::int64_t>& ids, std::int64_t max_length) {
  const auto excess = static_cast<std::int64_t>(ids.size()) - max_length;
  if (excess <= 0) return 0;
  ids.resize(static_cast<std::size_t>(max_length));
  return excess;
}

inline void append(std::vector<std::int64_t>& row, std::span<const std::int64_t> ids) {
  row.insert(row.end(), ids.begin(), ids.end());
}

/// Of a text and its ids.
inline std::uint64_t hash_text(std::string_view text, std::span<const std::int64_t> ids) {
  Fnv1a hash;
  hash.add(std::uint64_t{text.size()}).add_bytes(text);
  for (const std::int64_t id : ids) hash.add(id);
  return hash.value();
}

}  // namespace shine
