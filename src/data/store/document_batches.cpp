#include "data/store/document_batches.h"

#include <utility>

namespace shine {

DocumentBatches::DocumentBatches(std::vector<std::filesystem::path> files, std::string separator, InputPlace start,
                                 bool keep_all)
    : files_(std::move(files)), separator_(std::move(separator)), start_(start), keep_all_(keep_all) {}

bool DocumentBatches::open_next() {
  if (reader_) {
    reader_->report();
    bytes_before_ += reader_->position();
    reader_.reset();
  }
  if (opened_ == files_.size()) return false;
  reader_.emplace(files_[opened_++], separator_);
  document_ = 0;
  return true;
}

DocumentBatch DocumentBatches::next(std::size_t bytes) {
  DocumentBatch batch;
  std::size_t taken = 0;
  RawDocument raw;
  while (taken < bytes && (reader_ || open_next())) {
    if (!reader_->next(raw)) {
      if (!open_next()) break;
      continue;
    }
    const InputPlace place{opened_ - 1, document_++};
    if (place < start_ && !keep_all_) continue;
    taken += raw.bytes.size() + 1;
    batch.items.push_back({std::exchange(raw, {}), place});
  }
  batch.bytes_read = bytes_before_ + (reader_ ? reader_->position() : 0);
  return batch;
}

}  // namespace shine
