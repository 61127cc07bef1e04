#include <algorithm>
#include <filesystem>
#include <limits>
#include <unordered_set>
#include <utility>

#include "common/format.h"
#include "common/hash.h"
#include "common/parallel.h"
#include "common/timer.h"
#include "data/store/format_hash.h"
#include "data/store/item_ids.h"
#include "data/store/number_file.h"
#include "data/store/sample_index.h"
#include "data/store/shard_format.h"
#include "io/files/folder_lock.h"
#include "shine/common/error.h"
#include "shine/common/logging.h"

namespace shine {
namespace {

constexpr std::size_t kMaxDocuments = std::numeric_limits<std::uint32_t>::max();

/// Documents that are in memory at a time.
constexpr std::size_t kBatch = 4096;

/// A document as it is placed.
struct Measured {
  bool is_left_out = false;
  std::int64_t context = 0;  ///< tokens
  std::vector<std::size_t> turns;
  std::vector<QaSampleForm::Measure> threads;
};

class SampleWriter {
 public:
  SampleWriter(const TokenStore& store, const QaSampleForm& form, const std::vector<std::uint64_t>& held_out,
               std::uint64_t key)
      : store_(store), form_(form), held_out_(held_out.begin(), held_out.end()), file_(sample_path(store, key)) {
    footer_ = {.magic = kSampleMagic, .version = kSampleVersion, .key = key, .documents = store.documents()};
  }

  void write() {
    std::vector<Measured> batch;
    for (std::size_t first = 0; first < store_.documents(); first += kBatch) {
      batch.assign(std::min(kBatch, store_.documents() - first), {});
      parallel_for(batch.size(), form_.options().threads, [&](std::size_t i) { batch[i] = measure(first + i); });
      for (std::size_t i = 0; i < batch.size(); ++i) place(first + i, batch[i]);
    }
    report_.items = store_.documents() - footer_.left_out;
    form_.check_left(report_);
    finish();
  }

 private:
  /// With place lora no context stands in a conversation, so that it needs no text.
  Measured measure(std::size_t document) const {
    Measured result;
    result.is_left_out = held_out_.contains(store_.hash(document));
    if (result.is_left_out) return result;
    ItemIds item = read_item_document(store_.ids(document), store_.index().text_vocabulary(), store_.folder().string());
    if (form_.options().form == QaForm::one_question) item.threads = single_turns(std::move(item.threads));
    result.context = static_cast<std::int64_t>(item.context.size());
    for (const auto& thread : item.threads) {
      result.turns.push_back(thread.size());
      result.threads.push_back(form_.measure({}, decode_thread(thread, form_.tokenizer())));
    }
    return result;
  }

  void place(std::size_t document, const Measured& measured) {
    if (measured.is_left_out) {
      ++footer_.left_out;
      return;
    }
    report_.contexts_over_long += form_.context_excess(measured.context) > 0 ? 1 : 0;
    for (std::size_t thread = 0; thread < measured.threads.size(); ++thread) {
      const auto pieces = form_.place(measured.context, measured.threads[thread], measured.turns[thread], report_);
      for (const QaSampleForm::Piece& piece : pieces) {
        for (const std::uint64_t number : {std::uint64_t{document}, std::uint64_t{thread}, std::uint64_t{piece.first},
                                           std::uint64_t{piece.end}, static_cast<std::uint64_t>(piece.tokens)}) {
          file_.add(number);
        }
      }
    }
  }

  void finish() {
    footer_.samples = report_.samples;
    footer_.contexts_over_long = report_.contexts_over_long;
    footer_.conversations_over_long = report_.conversations_over_long;
    footer_.dropped = report_.dropped;
    footer_.split_off = report_.split_off;
    footer_.tokens_cut = static_cast<std::uint64_t>(report_.tokens_cut);
    footer_.tokens = static_cast<std::uint64_t>(report_.tokens);
    footer_.tokens_dropped = static_cast<std::uint64_t>(report_.tokens_dropped);
    footer_.checksum = header_checksum(footer_);
    file_.flush();
    file_.file().write(&footer_, sizeof footer_);
    file_.file().commit();
  }

  const TokenStore& store_;
  const QaSampleForm& form_;
  std::unordered_set<std::uint64_t> held_out_;
  NumberFile file_;
  SampleFooter footer_;
  QaReport report_;
};

}  // namespace

std::filesystem::path sample_path(const TokenStore& store, std::uint64_t key) {
  return store.folder() / ("questions-" + hex_digits(key) + ".samples");
}

std::uint64_t sample_key(const TokenStore& store, const QaSampleForm& form,
                         const std::vector<std::uint64_t>& held_out) {
  const QaOptions& options = form.options();
  Fnv1a hash;
  hash.add(store.index().fingerprint()).add(std::uint64_t{kSampleVersion});
  hash.add(static_cast<std::uint64_t>(options.form)).add(static_cast<std::uint64_t>(options.over_long));
  hash.add(options.context_max_length).add(options.conversation_max_length).add(hash_format(options.chat_format));
  std::vector<std::uint64_t> sorted = held_out;
  std::ranges::sort(sorted);
  for (const std::uint64_t context : sorted) hash.add(context);
  return hash.value();
}

SampleIndex open_samples(const TokenStore& store, const QaSampleForm& form,
                         const std::vector<std::uint64_t>& held_out) {
  SHINE_CHECK(store.documents() <= kMaxDocuments, UnsupportedError, store.folder().string(), ": ", store.documents(),
              " items, samples are made of at most ", kMaxDocuments, " (make several stores)");
  const std::uint64_t key = sample_key(store, form, held_out);
  const std::filesystem::path path = sample_path(store, key);
  if (!std::filesystem::exists(path)) {
    const FolderLock lock(store.folder(), FolderLock::Held::wait);
    if (!std::filesystem::exists(path)) {
      const Timer timer;
      SampleWriter(store, form, held_out, key).write();
      log_info(str(store.folder().string(), ": made samples of ", store.documents(), " contexts in ",
                   format("%.1f s", timer.seconds()), ", which are kept there"));
    }
  }
  return SampleIndex(std::make_unique<const MappedFile>(path), key);
}

}  // namespace shine
