#include "data/store/store_writer.h"

#include <algorithm>
#include <future>
#include <optional>
#include <span>
#include <thread>
#include <utility>

#include "common/parallel.h"
#include "data/pretrain/text_pieces.h"
#include "data/store/document_batches.h"
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

/// A document between the input and the store.
struct Work {
  struct Piece {
    std::vector<std::int64_t> ids;
    std::uint64_t hash = 0;
  };
  DocumentText document;
  TextKey key{};
  bool is_done = false;  ///< it stands in the store already
  bool is_duplicate = false;
  bool is_changed = false;
  std::vector<Piece> pieces;

  bool is_wanted() const { return !is_done && !is_duplicate && !document.text.empty(); }
};

class TextStoreWriter {
 public:
  TextStoreWriter(const TextStoreJob& job, const Tokenizer& tokenizer, StoreOutput& output)
      : job_(job), tokenizer_(tokenizer), output_(output), start_(*output.index().next), seen_(job.unique_bytes) {
    for (const auto& file : job.files) formats_.emplace_back(file, job.options.field);
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
    parallel_for(items.size(), job_.threads, [&](std::size_t i) { read(items[i], works[i]); });
    if (job_.options.unique) {
      for (Work& work : works) work.is_duplicate = !work.document.text.empty() && !seen_.insert(work.key);
    }
    parallel_for(items.size(), job_.threads, [&](std::size_t i) {
      if (works[i].is_wanted()) tokenise(works[i]);
    });
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (works[i].is_done) continue;
      add(works[i]);
      output_.reach({items[i].place.file, items[i].place.document + 1});
    }
  }

  void read(const DocumentBatch::Item& item, Work& work) const {
    work.document = formats_[item.place.file].read(item.raw);
    if (job_.options.unique) work.key = text_key(work.document.text);
    work.is_done = item.place < start_;
  }

  void tokenise(Work& work) const {
    const auto encode = [&](const std::string& text) {
      auto ids = tokenizer_.encode(text, job_.options.special_tokens).ids;
      if (ids.empty()) return;
      work.is_changed = work.is_changed || tokenizer_.decode(ids) != text;
      work.pieces.push_back({std::move(ids), text_hash(text)});
    };
    if (job_.options.split == 0) return encode(work.document.text);
    for (const std::string& piece :
         split_text(work.document.text, job_.options.split, tokenizer_, job_.options.special_tokens)) {
      encode(piece);
    }
  }

  void add(const Work& work) {
    StoreStatistics& statistics = output_.statistics();
    ++statistics.read;
    if (work.document.repaired) ++statistics.repaired;
    if (work.is_duplicate) {
      ++statistics.duplicate;
    } else if (work.pieces.empty()) {
      ++statistics.empty;
    } else {
      statistics.split_off += work.pieces.size() - 1;
      if (work.is_changed) ++statistics.changed;
      for (const Work::Piece& piece : work.pieces) output_.add(piece.ids, piece.hash);
    }
  }

  const TextStoreJob& job_;
  const Tokenizer& tokenizer_;
  StoreOutput& output_;
  InputPlace start_;
  SeenTexts seen_;
  std::vector<DocumentFormat> formats_;
  std::size_t batch_bytes_ = 0;
};

StoreIndex describe_job(const TextStoreJob& job, const Tokenizer& tokenizer) {
  StoreIndex wanted;
  wanted.tokenizer = tokenizer_fingerprint(tokenizer);
  wanted.vocabulary = tokenizer.size();
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
  SHINE_CHECK(job.options.split >= 0, ConfigError, "documents cannot be split into pieces of ", job.options.split,
              " tokens");
  SHINE_CHECK(is_valid_utf8(job.options.separator) && is_valid_utf8(job.options.field), ConfigError,
              "the separator and the field must be UTF-8");
}

}  // namespace

StoreIndex write_text_store(const TextStoreJob& job, const Tokenizer& tokenizer,
                            const std::function<void(const StoreProgress&)>& progress) {
  check_job(job);
  StoreIndex wanted = describe_job(job, tokenizer);
  make_folder(job.output);
  const FolderLock lock(job.output, FolderLock::Held::refuse, "another process writes this store");
  StoreOutput output(job.output, std::move(wanted));
  if (output.index().next) {
    TextStoreWriter(job, tokenizer, output).write(progress);
  } else {
    TokenStore(job.output).verify();
  }
  return output.index();
}

}  // namespace shine
