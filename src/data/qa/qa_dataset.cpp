#include "data/qa/qa_dataset.h"

#include <span>
#include <utility>

#include "common/hash.h"
#include "data/token_row.h"
#include "shine/common/error.h"

namespace shine {

QaDataset::QaDataset(std::vector<QaItem> items, std::shared_ptr<const Tokenizer> tokenizer, const QaOptions& options,
                     const Progress& progress)
    : form_(std::move(tokenizer), options) {
  report_.items = items.size();
  take(std::move(items));

  std::vector<std::int64_t> context_lengths(contexts_.size());
  std::vector<std::uint64_t> hashes(contexts_.size());
  const auto measure_context = [&](std::size_t i) {
    const std::vector<std::int64_t> ids = form_.context_ids(contexts_[i]);
    context_lengths[i] = static_cast<std::int64_t>(ids.size());
    hashes[i] = hash_text(contexts_[i], ids);
  };
  parallel_for(contexts_.size(), options.threads, measure_context);
  std::vector<QaSampleForm::Measure> measures(threads_.size());
  const auto measure_thread = [&](std::size_t i) {
    measures[i] = form_.measure(contexts_[threads_[i].context], threads_[i].turns);
  };
  parallel_for(threads_.size(), options.threads, measure_thread, progress);

  place(context_lengths, measures);
  form_.check_left(report_);
  Fnv1a hash;
  hash.add(form_.fingerprint()).add(std::uint64_t{contexts_.size()});
  for (const std::uint64_t context : hashes) hash.add(context);
  for (std::size_t i = 0; i < threads_.size(); ++i) {
    hash.add(std::uint64_t{threads_[i].context}).add(std::uint64_t{threads_[i].turns.size()}).add(measures[i].hash);
  }
  fingerprint_ = hash.value();
}

void QaDataset::take(std::vector<QaItem>&& items) {
  contexts_.reserve(items.size());
  for (QaItem& item : items) {
    QaThreads taken = threads_of(std::exchange(item, {}));
    if (form_.options().form == QaForm::one_question) taken.threads = single_turns(std::move(taken.threads));
    for (QaThread& thread : taken.threads) threads_.push_back({contexts_.size(), std::move(thread)});
    contexts_.push_back(std::move(taken.context));
  }
}

void QaDataset::place(const std::vector<std::int64_t>& contexts, const std::vector<QaSampleForm::Measure>& threads) {
  for (const std::int64_t context : contexts) report_.contexts_over_long += form_.context_excess(context) > 0 ? 1 : 0;
  for (std::size_t i = 0; i < threads.size(); ++i) {
    const auto pieces = form_.place(contexts[threads_[i].context], threads[i], threads_[i].turns.size(), report_);
    for (const QaSampleForm::Piece& piece : pieces) places_.push_back({i, piece});
  }
}

Sample QaDataset::sample(std::int64_t epoch, std::size_t index) const {
  SHINE_CHECK(index < size(), ConfigError, "there is no sample ", index, ", the dataset has ", size());
  const Place& place = places_[index];
  const Thread& thread = threads_[place.thread];
  const std::span turns = std::span(thread.turns).subspan(place.piece.first, place.piece.end - place.piece.first);
  return form_.make(epoch, index, {contexts_[thread.context]}, turns);
}

}  // namespace shine
