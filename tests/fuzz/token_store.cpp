// Token stores: the first byte chooses index, shard, groups or samples, and whether a checksum is made right, so that
// what lies behind it is reached.
#include <cstring>

#include "data/store/group_index.h"
#include "data/store/group_writer.h"
#include "data/store/item_ids.h"
#include "data/store/sample_index.h"
#include "data/store/store_index.h"
#include "data/store/token_shard.h"
#include "fuzz/fuzz_target.h"

namespace shine::fuzz {
namespace {

std::unique_ptr<const MappedFile> file_of(std::string_view bytes) {
  return std::make_unique<const MappedFile>("x", as_bytes(bytes));
}

void read_index(std::string_view text) {
  accepts([&] {
    const StoreIndex index = parse_store_index(text, "x");
    const std::string written = store_index_json(index);
    require(parse_store_index(written, "x") == index, "an index comes back as it was written");
    std::uint64_t documents = 0;
    for (const auto& shard : index.shards) documents += shard.documents;
    require(documents == index.statistics.documents, "the shards hold what the index counts");
  });
}

void read_shard(std::string bytes, bool repair) {
  if (repair && bytes.size() >= sizeof(ShardHeader)) {
    ShardHeader header;
    std::memcpy(&header, bytes.data(), sizeof header);
    header.magic = kShardMagic;
    header.version = kShardVersion;
    header.checksum = header_checksum(header);
    std::memcpy(bytes.data(), &header, sizeof header);
  }
  std::unique_ptr<const TokenShard> shard;
  if (!accepts([&] { shard = std::make_unique<const TokenShard>(file_of(bytes)); })) return;
  require(shard->documents() <= bytes.size() / 16, "a shard has room for its documents");
  for (std::size_t i = 0; i < shard->documents(); ++i) {
    shard->hash(i);
    accepts([&] {
      const auto ids = shard->ids(i);
      require(ids.size() == shard->length(i), "a document has its length");
      for (const std::int64_t id : ids) {
        require(0 <= id && static_cast<std::uint64_t>(id) < shard->header().vocabulary, "an id is of the vocabulary");
      }
      const std::int64_t marks = static_cast<std::int64_t>(shard->header().vocabulary) - kItemMarks;
      const ItemIds item = read_item_document(ids, marks, "x");
      require(item_document(item, marks) == ids, "an item comes back as it was written");
    });
  }
  accepts([&] { shard->verify(); });
}

void read_groups(std::string_view members, std::string groups, bool repair) {
  GroupFooter footer;
  if (groups.size() < sizeof footer) return;
  char* const place = groups.data() + (groups.size() - sizeof footer);
  std::memcpy(&footer, place, sizeof footer);
  if (repair) {
    footer.magic = kGroupMagic;
    footer.version = kGroupVersion;
    footer.checksum = header_checksum(footer);
    std::memcpy(place, &footer, sizeof footer);
  }
  std::unique_ptr<const GroupIndex> index;
  if (!accepts([&] { index = std::make_unique<const GroupIndex>(file_of(members), file_of(groups), footer.key); })) {
    return;
  }
  index->report();
  for (std::size_t group = 0; group < index->size(); ++group) {
    require(index->tokens(group) > 0, "a group has tokens");
    accepts([&] {
      for (const std::size_t document : index->documents(group)) {
        require(document < footer.documents, "a member is a document");
      }
    });
  }
}

void read_samples(std::string bytes, bool repair) {
  SampleFooter footer;
  if (bytes.size() < sizeof footer) return;
  char* const place = bytes.data() + (bytes.size() - sizeof footer);
  std::memcpy(&footer, place, sizeof footer);
  if (repair) {
    footer.magic = kSampleMagic;
    footer.version = kSampleVersion;
    footer.checksum = header_checksum(footer);
    std::memcpy(place, &footer, sizeof footer);
  }
  std::unique_ptr<const SampleIndex> index;
  if (!accepts([&] { index = std::make_unique<const SampleIndex>(file_of(bytes), footer.key); })) return;
  index->report();
  for (std::size_t sample = 0; sample < index->size(); ++sample) {
    require(index->tokens(sample) > 0, "a sample has tokens");
    accepts([&] {
      const SampleIndex::Place turns = index->place(sample);
      require(turns.document < footer.documents && turns.first < turns.end, "a sample has turns");
    });
  }
}

}  // namespace
}  // namespace shine::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace shine;
  if (size < 2) return 0;
  const std::string_view input = fuzz::as_text(data + 1, size - 1);
  const bool repair = data[0] >= 128;
  switch (data[0] % 4) {
    case 0: fuzz::read_index(input); break;
    case 1: fuzz::read_shard(std::string(input), repair); break;
    case 2: fuzz::read_samples(std::string(input), repair); break;
    default: {
      const std::size_t members = std::min<std::size_t>(static_cast<unsigned char>(input[0]) * 4U, input.size() - 1);
      fuzz::read_groups(input.substr(1, members), std::string(input.substr(1 + members)), repair);
    }
  }
  return 0;
}
