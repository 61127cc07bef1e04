#include "data/store/token_shard.h"

#include <utility>

#include "io/files/checksum.h"
#include "io/files/pieces.h"
#include "shine/common/error.h"

namespace shine {

TokenShard::TokenShard(std::unique_ptr<const MappedFile> file) : file_(std::move(file)) {
  if (file_->size() < sizeof header_) fail("shorter than a shard's header");
  std::memcpy(&header_, file_->data(), sizeof header_);
  if (header_.magic != kShardMagic) fail("no shard of a token store");
  if (header_.version != kShardVersion) {
    fail(str("version ", header_.version, " of the format, this program knows ", kShardVersion));
  }
  if (header_.checksum != header_checksum(header_)) fail("damaged: its header's checksum differs");
  if (header_.documents >= kMaxShardDocuments || header_.tokens >= kMaxShardTokens || header_.vocabulary == 0 ||
      header_.vocabulary > static_cast<std::uint64_t>(kMaxVocabulary) || header_.reserved != 0) {
    fail("damaged: its header counts more than a shard holds");
  }
  if (const std::uint64_t expected = shard_bytes(header_.documents, header_.tokens); file_->size() != expected) {
    fail(str("cut short or damaged: ", file_->size(), " bytes, its header says ", expected));
  }
  documents_ = static_cast<std::size_t>(header_.documents);
  const auto offset = [this](std::uint64_t i) { return number_at<std::uint64_t>(sizeof header_ + 8 * i); };
  if (offset(0) != 0 || offset(header_.documents) != header_.tokens) fail("damaged: its offsets do not span its ids");
}

void TokenShard::fail(std::string_view what) const {
  throw FormatError(what, file_->path().string(), "write the store again: shine_prepare text");
}

/// @param byte  within the file, as shard_bytes counts
template <class Number>
Number TokenShard::number_at(std::uint64_t byte) const {
  Number number;
  std::memcpy(&number, file_->data() + byte, sizeof number);
  return number;
}

std::uint64_t TokenShard::length(std::size_t document) const {
  SHINE_CHECK(document < documents_, ConfigError, "there is no document ", document, " in a shard of ", documents_);
  const std::uint64_t place = sizeof header_ + 8 * document;
  const auto begin = number_at<std::uint64_t>(place), end = number_at<std::uint64_t>(place + 8);
  if (begin > end || end > header_.tokens) fail(str("damaged: the offsets of document ", document, " lead outside"));
  return end - begin;
}

std::vector<std::int64_t> TokenShard::ids(std::size_t document) const {
  const auto count = static_cast<std::size_t>(length(document));
  const std::uint64_t first = number_at<std::uint64_t>(sizeof header_ + 8 * document);
  const std::uint64_t start = sizeof header_ + 8 * (2 * header_.documents + 1) + 4 * first;
  std::vector<std::int64_t> ids(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto id = number_at<std::uint32_t>(start + 4 * i);
    if (id >= header_.vocabulary) fail(str("damaged: document ", document, " holds the id ", id));
    ids[i] = id;
  }
  return ids;
}

std::uint64_t TokenShard::hash(std::size_t document) const {
  SHINE_CHECK(document < documents_, ConfigError, "there is no document ", document, " in a shard of ", documents_);
  return number_at<std::uint64_t>(sizeof header_ + 8 * (header_.documents + 1 + document));
}

void TokenShard::verify() const {
  Checksum checksum;
  const auto take = [&](std::span<const std::byte> piece) { checksum.add(piece); };
  for_each_piece(file_->bytes().subspan(sizeof header_), file_->is_mapped(), take);
  if (checksum.value() != header_.content) fail("damaged: its checksum differs");
}

}  // namespace shine
