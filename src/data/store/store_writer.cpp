#include "data/store/store_writer.h"

#include <algorithm>
#include <future>
#include <optional>
#include <span>
#include <thread>
#include <utility>

#include "common/parallel.h"
#include "data/store/document_batches.h"
#include "data/store/document_maker.h"
#include "data/store/item_ids.h"
#include "data/store/seen_texts.h"
#include "data/store/store_output.h"
#include "data/store/token_store.h"
#include "data/store/tokenizer_fingerprint.h"
#include "io/files/atomic_folder.h"
#include "io/files/folder_lock.h"
#include "shine/common/error.h"
#include "text/unicode/utf8.h"

namespace shine {
namespace {

constexpr std::size_t kBatchBytesPerThread = std::size_t{1} << 20;
constexpr std::size_t kFewestBatchBytes = std::size_t{1} << 20;

/// What becomes of a document of the input.
struct Work {
  StoreDocument document;
  bool is_done = false;  ///< it stands in the store already
  bool is_duplicate = false;

  bool is_wanted() const { return !is_done && !is_duplicate && !document.is_blank; }
};

class TextStoreWriter {
 public:
  TextStoreWriter(const TextStoreJob& job, const DocumentMaker& maker, StoreOutput& output)
      : job_(job), output_(output), maker_(maker), start_(*output.index().next), seen_(job.unique_bytes) {
    const auto cores = static_cast<std::size_t>(std::max(1U, std::thread::hardware_concurrency()));
    const std::size_t threads = job.threads > 0 ? static_cast<std::size_t>(job.threads) : cores;
    batch_bytes_ = std::max(kFewestBatchBytes, threads * kBatchBytesPerThread);
  }

  void write(const std::function<void(const StoreProgress&)>& progress) {
    StoreProgress so_far;
    for (const StoreIndex::Input& input : output_.index().inputs) so_far.bytes += input.bytes;
    DocumentBatches batches(job_.files, job_.options.separator, start_, job_.options.unique);
    const auto read = [&] { return batches.next(batch_bytes_); };
    std::future<DocumentBatch> next = std::async(std::launch::async, read);
    while (true) {
      const DocumentBatch batch = next.get();
      if (batch.items.empty()) break;
      next = std::async(std::launch::async, read);  // the next one is read while this one is tokenised
      take(batch.items);
      so_far.bytes_read = batch.bytes_read;
      so_far.documents = output_.statistics().documents;
      so_far.tokens = output_.statistics().tokens;
      if (progress) progress(so_far);
    }
    output_.finish();
  }

 private:
  void take(std::span<const DocumentBatch::Item> items) {
    std::vector<Work> works(items.size());
    parallel_for(items.size(), job_.threads, [&](std::size_t i) {
      works[i].document = maker_.read(items[i]);
      works[i].is_done = items[i].place < start_;
    });
    if (job_.options.unique) {
      for (Work& work : works) work.is_duplicate = !work.document.is_blank && !seen_.insert(work.document.key);
    }
    parallel_for(items.size(), job_.threads, [&](std::size_t i) {
      if (works[i].is_wanted()) maker_.tokenise(works[i].document);
    });
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (works[i].is_done) continue;
      add(works[i]);
      output_.reach({items[i].place.file, items[i].place.document + 1});
    }
  }

  void add(const Work& work) {
    StoreStatistics& statistics = output_.statistics();
    ++statistics.read;
    if (work.document.is_repaired) ++statistics.repaired;
    if (work.is_duplicate) {
      ++statistics.duplicate;
    } else if (work.document.pieces.empty()) {
      ++statistics.empty;
    } else {
      statistics.split_off += work.document.pieces.size() - 1;
      if (work.document.is_changed) ++statistics.changed;
      for (const StoreDocument::Piece& piece : work.document.pieces) output_.add(piece.ids, piece.hash);
    }
  }

  const TextStoreJob& job_;
  StoreOutput& output_;
  const DocumentMaker& maker_;
  InputPlace start_;
  SeenTexts seen_;
  std::size_t batch_bytes_ = 0;
};

StoreIndex describe_job(const TextStoreJob& job, const Tokenizer& tokenizer) {
  StoreIndex wanted;
  wanted.tokenizer = tokenizer_fingerprint(tokenizer);
  wanted.vocabulary = tokenizer.size() + (job.options.contents == StoreContents::questions ? kItemMarks : 0);
  wanted.options = job.options;
  for (const auto& file : job.files) {
    std::error_code fault;
    const auto bytes = std::filesystem::file_size(file, fault);
    if (fault) throw IoError(str("cannot inspect: ", fault.message()), file.string());
    wanted.inputs.push_back({replace_invalid_utf8(file.filename().string()), bytes});
  }
  return wanted;
}

void check_job(const TextStoreJob& job) {
  SHINE_CHECK(!job.files.empty(), ConfigError, "no text file is named");
  SHINE_CHECK(is_valid_utf8(job.options.separator) && is_valid_utf8(job.options.field), ConfigError,
              "the separator and the field must be UTF-8");
}

}  // namespace

StoreIndex write_text_store(const TextStoreJob& job, const Tokenizer& tokenizer,
                            const std::function<void(const StoreProgress&)>& progress) {
  check_job(job);
  const DocumentMaker maker(job.files, job.options, tokenizer);
  StoreIndex wanted = describe_job(job, tokenizer);
  make_folder(job.output);
  const FolderLock lock(job.output, FolderLock::Held::refuse, "another process writes this store");
  StoreOutput output(job.output, std::move(wanted));
  if (output.index().next) {
    TextStoreWriter(job, maker, output).write(progress);
  } else {
    TokenStore(job.output).verify();
  }
  return output.index();
}

}  // namespace shine
