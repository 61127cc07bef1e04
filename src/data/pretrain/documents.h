#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "shine/config/data_config.h"

namespace shine {

/// How text files are cut into documents.
struct DocumentOptions {
  /// The line between two documents of a .txt file, compared without the white space around it; "" is a blank line.
  std::string separator = {};
  /// Documents read from all files together; 0: all.
  std::size_t max_texts = 0;
};

/// Documents in the order of the files, and counts of what was left out or repaired.
struct Documents {
  std::vector<std::string> texts;
  /// Blank documents, which are not in `texts`.
  std::size_t empty = 0;
  /// Documents in which bytes that are no UTF-8 became U+FFFD; in .jsonl also escapes of single surrogates ("\ud800"),
  /// anywhere in the document's line.
  std::size_t repaired = 0;
};

/// Reads .txt and .jsonl files, also packed as .txt.gz or .jsonl.zst. .txt: documents between separator lines; white
/// space at both ends of a document goes, line ends "\r\n" become "\n", all else stays; UTF-8, or UTF-16 or UTF-32 with
/// a byte order mark. .jsonl: an object a line, its string `text` as it is, other keys ignored. Throws IoError (missing
/// file), FormatError "file:line: .." (broken JSON, no `text`, `text` not a string), FormatError for what is no text
/// (TextInput, Repairs) and ConfigError (no file named, another file extension). Warns as Repairs.
Documents read_documents(const std::vector<std::filesystem::path>& files, const DocumentOptions& options);

/// Documents to train on and documents kept for validation. No text is in both.
struct DocumentSplit {
  std::vector<std::string> train;
  std::vector<std::string> validation;
  /// Training documents that were dropped because they equal a validation document.
  std::size_t dropped_from_train = 0;
  /// As in Documents, over all files.
  std::size_t empty = 0;
  std::size_t repaired = 0;
};

/// Holds out about `share` of the documents, at least one if share > 0, the same ones for the same seed. Equal texts go
/// to the same side, and at least one different text stays for training. Both sides keep the order of `texts`. Throws
/// ConfigError at `where` if share is outside [0, 1) or there are fewer than two different texts to split.
DocumentSplit split_documents(std::vector<std::string> texts, double share, std::uint64_t seed,
                              const std::string& where = {});

/// The split by separate files: validation stays whole and training loses the texts that are also there.
/// Throws ConfigError when that leaves nothing to train on.
DocumentSplit split_documents(std::vector<std::string> train, std::vector<std::string> validation);

/// Reads the files of the configuration (max_texts limits the training texts) and holds out validation: the validation
/// files if there are any, else validation_share. Throws what the functions above throw.
DocumentSplit load_documents(const DataConfig& config, std::uint64_t seed);

}  // namespace shine
