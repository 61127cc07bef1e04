#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

#include "data/store/store_index.h"
#include "shine/text/tokenizer.h"

namespace shine {

/// How far a writer is.
struct StoreProgress {
  std::uint64_t bytes_read = 0, bytes = 0;  ///< of the files of the input, as they lie on the disk
  std::uint64_t documents = 0, tokens = 0;  ///< in the store
};

struct TextStoreJob {
  std::vector<std::filesystem::path> files;
  std::filesystem::path output;
  StoreOptions options;
  std::uint64_t unique_bytes = std::uint64_t{4} << 30;  ///< bound of the table that finds equal texts
  int threads = 0;                                      ///< 0: as many as cores
};

/// Writes a token store of the documents of text files (DocumentReader), or of the items of files of questions, in
/// their order. Memory does not grow with the
/// input: a shard, two batches of documents of about 1 MiB a thread, the largest document and, with options.unique, the
/// table of texts seen. The bytes written depend on files, tokenizer and options, not on threads or interruptions: a
/// writer that was killed, started again, goes on behind the last whole shard. A store that is complete has its
/// checksums compared instead.
/// @param tokenizer  with the task tokens added
/// @param progress   called now and then on the calling thread
/// Throws ConfigError (no file; a store begun with another tokenizer, other options or other files; a folder that holds
/// something else), FormatError (what is no text, a damaged store), IoError.
StoreIndex write_text_store(const TextStoreJob& job, const Tokenizer& tokenizer,
                            const std::function<void(const StoreProgress&)>& progress = {});

}  // namespace shine
