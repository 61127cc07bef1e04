#include "data/store/group_index.h"

#include <cstring>
#include <utility>

#include "data/store/group_writer.h"
#include "data/store/shard_format.h"
#include "io/files/pieces.h"
#include "shine/common/error.h"

namespace shine {

GroupIndex::GroupIndex(std::unique_ptr<const MappedFile> members, std::unique_ptr<const MappedFile> groups,
                       std::uint64_t key)
    : members_(std::move(members)), groups_(std::move(groups)) {
  if (groups_->size() < sizeof footer_) fail("shorter than its footer");
  std::memcpy(&footer_, groups_->data() + (groups_->size() - sizeof footer_), sizeof footer_);
  if (footer_.magic != kGroupMagic || footer_.version != kGroupVersion) fail("no groups that this program knows");
  if (footer_.checksum != header_checksum(footer_)) fail("damaged: its footer's checksum differs");
  if (footer_.key != key) fail("groups of another store, or for other lengths");
  if (footer_.documents >= kMaxGroupedDocuments || footer_.members > footer_.documents || footer_.groups == 0 ||
      footer_.groups > footer_.members) {
    fail("damaged: its counts contradict each other");
  }
  if (groups_->size() != sizeof(Record) * (footer_.groups + 1) + sizeof footer_ ||
      members_->size() != sizeof(std::uint32_t) * footer_.members) {
    fail("cut short or damaged: its size does not fit its counts");
  }
}

void GroupIndex::fail(std::string_view what) const {
  throw FormatError(what, groups_->path().string(), "remove it: it is made again");
}

GroupIndex::Record GroupIndex::record(std::size_t group) const {
  Record record;
  std::memcpy(&record, groups_->data() + sizeof record * group, sizeof record);
  return record;
}

std::vector<std::size_t> GroupIndex::documents(std::size_t group) const {
  SHINE_CHECK(group < size(), ConfigError, "there is no group ", group, ", the store has ", size());
  const std::size_t first = record(group).first, end = record(group + 1).first;
  if (first >= end || end > footer_.members) fail(str("damaged: group ", group, " leads outside"));
  std::vector<std::size_t> documents(end - first);
  for (std::size_t i = first; i < end; ++i) {
    std::uint32_t document = 0;
    std::memcpy(&document, members_->data() + sizeof document * i, sizeof document);
    if (document >= footer_.documents) fail(str("damaged: group ", group, " names document ", document));
    documents[i - first] = document;
  }
  return documents;
}

std::int64_t GroupIndex::tokens(std::size_t group) const {
  SHINE_CHECK(group < size(), ConfigError, "there is no group ", group, ", the store has ", size());
  return std::max<std::int64_t>(1, record(group).tokens);
}

PretrainReport GroupIndex::report() const {
  PretrainReport report;
  report.texts = static_cast<std::size_t>(footer_.members);
  report.groups = size();
  report.over_long = static_cast<std::size_t>(footer_.over_long);
  report.tokens_cut = static_cast<std::int64_t>(footer_.tokens_cut);
  report.fill = footer_.fill;
  report.tokens = static_cast<std::int64_t>(footer_.tokens);
  report.contexts_over_long = static_cast<std::size_t>(footer_.contexts_over_long);
  report.context_tokens_cut = static_cast<std::int64_t>(footer_.context_tokens_cut);
  return report;
}

}  // namespace shine
