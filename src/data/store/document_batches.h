#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/pretrain/document_reader.h"
#include "data/store/store_index.h"

namespace shine {

/// Consecutive documents of the input.
struct DocumentBatch {
  struct Item {
    RawDocument raw;
    InputPlace place;
  };
  std::vector<Item> items;       ///< none: the end
  std::uint64_t bytes_read = 0;  ///< of the files, up to its end
};

/// Reads files in order, a batch in memory at a time.
class DocumentBatches {
 public:
  /// @param start  documents before it are read over, and given all the same with `keep_all`
  DocumentBatches(std::vector<std::filesystem::path> files, std::string separator, InputPlace start, bool keep_all);

  /// At least one document, and no more than reach `bytes`. Throws as DocumentReader.
  DocumentBatch next(std::size_t bytes);

 private:
  bool open_next();

  std::vector<std::filesystem::path> files_;
  std::string separator_;
  InputPlace start_;
  bool keep_all_;
  std::optional<DocumentReader> reader_;
  std::size_t opened_ = 0;  ///< files that were opened
  std::uint64_t document_ = 0;
  std::uint64_t bytes_before_ = 0;  ///< of the files that are done
};

}  // namespace shine
