#include "data/store/sample_index.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "data/store/shard_format.h"
#include "shine/common/error.h"

namespace shine {

SampleIndex::SampleIndex(std::unique_ptr<const MappedFile> file, std::uint64_t key) : file_(std::move(file)) {
  if (file_->size() < sizeof footer_) fail("shorter than its footer");
  std::memcpy(&footer_, file_->data() + (file_->size() - sizeof footer_), sizeof footer_);
  if (footer_.magic != kSampleMagic || footer_.version != kSampleVersion) fail("no samples that this program knows");
  if (footer_.checksum != header_checksum(footer_)) fail("damaged: its footer's checksum differs");
  if (footer_.key != key) fail("samples of another store, or for other lengths");
  const std::uint64_t records = (file_->size() - sizeof footer_) / sizeof(Record);
  if (footer_.samples == 0 || footer_.left_out > footer_.documents || footer_.samples != records ||
      file_->size() != sizeof(Record) * records + sizeof footer_) {
    fail("cut short or damaged: its size does not fit its counts");
  }
}

void SampleIndex::fail(std::string_view what) const {
  throw FormatError(what, file_->path().string(), "remove it: it is made again");
}

SampleIndex::Record SampleIndex::record(std::size_t sample) const {
  SHINE_CHECK(sample < size(), ConfigError, "there is no sample ", sample, ", the dataset has ", size());
  Record record;
  std::memcpy(&record, file_->data() + sizeof record * sample, sizeof record);
  return record;
}

SampleIndex::Place SampleIndex::place(std::size_t sample) const {
  const Place place = record(sample).place;
  if (place.document >= footer_.documents || place.first >= place.end) {
    fail(str("damaged: sample ", sample, " leads outside"));
  }
  return place;
}

std::int64_t SampleIndex::tokens(std::size_t sample) const {
  return std::max<std::int64_t>(1, record(sample).tokens);
}

QaReport SampleIndex::report() const {
  QaReport report;
  report.items = static_cast<std::size_t>(footer_.documents - footer_.left_out);
  report.samples = size();
  report.contexts_over_long = static_cast<std::size_t>(footer_.contexts_over_long);
  report.conversations_over_long = static_cast<std::size_t>(footer_.conversations_over_long);
  report.dropped = static_cast<std::size_t>(footer_.dropped);
  report.split_off = static_cast<std::size_t>(footer_.split_off);
  report.tokens_cut = static_cast<std::int64_t>(footer_.tokens_cut);
  report.tokens = static_cast<std::int64_t>(footer_.tokens);
  report.tokens_dropped = static_cast<std::int64_t>(footer_.tokens_dropped);
  return report;
}

}  // namespace shine
