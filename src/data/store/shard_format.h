#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "io/files/checksum.h"

namespace shine {

static_assert(std::endian::native == std::endian::little, "stores hold little-endian numbers");

/// The first 64 bytes of a shard. Behind them: documents + 1 offsets (uint64) of the documents among the ids, a hash
/// (uint64, text_hash) of each document's text, and the token ids (uint32).
struct ShardHeader {
  std::array<char, 8> magic{};
  std::uint32_t version = 0;
  std::uint32_t number = 0;  ///< of the shard in its store, from 0
  std::uint64_t documents = 0;
  std::uint64_t tokens = 0;
  std::uint64_t vocabulary = 0;  ///< above every id
  std::uint64_t content = 0;     ///< checksum (XXH3, 64 bits) of everything behind the header
  std::uint64_t reserved = 0;
  std::uint64_t checksum = 0;  ///< of the bytes before it
};
static_assert(sizeof(ShardHeader) == 64 && std::is_trivially_copyable_v<ShardHeader>);

inline constexpr std::array<char, 8> kShardMagic{'S', 'H', 'I', 'N', 'E', 'T', 'O', 'K'};
inline constexpr std::uint32_t kShardVersion = 1;
inline constexpr std::uint64_t kMaxShardDocuments = std::uint64_t{1} << 32;
inline constexpr std::uint64_t kMaxShardTokens = std::uint64_t{1} << 40;
inline constexpr std::int64_t kMaxVocabulary = std::int64_t{1} << 31;

/// Bytes of a shard. Both counts must be within their maximum.
constexpr std::uint64_t shard_bytes(std::uint64_t documents, std::uint64_t tokens) {
  return sizeof(ShardHeader) + 8 * (2 * documents + 1) + 4 * tokens;
}

/// Of a header whose last member is `checksum`.
template <class Header>
std::uint64_t header_checksum(const Header& header) {
  return Checksum::of(std::as_bytes(std::span(&header, 1)).first(sizeof(Header) - sizeof(header.checksum)));
}

/// Of a document's text: finds held-out texts among those to train on.
std::uint64_t text_hash(std::string_view text);

/// Of an item's context, white space aside: the same for held-out contexts.
std::uint64_t context_hash(std::string_view context);

/// "shard-00007.tokens"
std::string shard_name(std::size_t number);

}  // namespace shine
