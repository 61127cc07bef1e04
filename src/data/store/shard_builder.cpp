#include "data/store/shard_builder.h"

#include "io/files/checksum.h"
#include "io/files/posix_file.h"
#include "shine/common/error.h"

namespace shine {

void ShardBuilder::add(std::span<const std::int64_t> ids, std::uint64_t hash) {
  for (const std::int64_t id : ids) {
    SHINE_CHECK(0 <= id && id < vocabulary_, ConfigError, "the id ", id, " is outside a vocabulary of ", vocabulary_);
    ids_.push_back(static_cast<std::uint32_t>(id));
  }
  offsets_.push_back(ids_.size());
  hashes_.push_back(hash);
}

ShardHeader ShardBuilder::write(const std::filesystem::path& folder, std::size_t number) {
  const auto for_each_part = [&](const auto& take) {
    take(std::as_bytes(std::span(offsets_)));
    take(std::as_bytes(std::span(hashes_)));
    take(std::as_bytes(std::span(ids_)));
  };
  Checksum content;
  for_each_part([&](std::span<const std::byte> part) { content.add(part); });

  ShardHeader header{.magic = kShardMagic, .version = kShardVersion, .number = static_cast<std::uint32_t>(number)};
  header.documents = hashes_.size();
  header.tokens = ids_.size();
  header.vocabulary = static_cast<std::uint64_t>(vocabulary_);
  header.content = content.value();
  header.checksum = header_checksum(header);

  PendingFile file(folder / shard_name(number));
  file.write(&header, sizeof header);
  for_each_part([&](std::span<const std::byte> part) { file.write(part.data(), part.size()); });
  file.commit();
  offsets_.assign(1, 0);
  hashes_.clear();
  ids_.clear();
  return header;
}

}  // namespace shine
