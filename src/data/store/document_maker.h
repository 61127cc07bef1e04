#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/pretrain/document_reader.h"
#include "data/qa/qa_threads.h"
#include "data/store/document_batches.h"
#include "data/store/seen_texts.h"
#include "data/store/store_index.h"
#include "shine/text/tokenizer.h"

namespace shine {

/// A document between the input and the store.
struct StoreDocument {
  struct Piece {
    std::vector<std::int64_t> ids;
    std::uint64_t hash = 0;
  };
  std::string text;  ///< StoreContents::texts; empty: blank
  QaThreads item;    ///< StoreContents::questions
  TextKey key{};     ///< with StoreOptions::unique
  bool is_blank = false;
  bool is_repaired = false;  ///< held bytes that are no UTF-8
  bool is_changed = false;   ///< its ids do not give it back exactly
  std::vector<Piece> pieces;
};

/// Makes documents of a store from those of the input. May be used from several threads at once.
class DocumentMaker {
 public:
  /// All must outlive it. Throws ConfigError for files of another kind, and for questions that are to be split.
  DocumentMaker(const std::vector<std::filesystem::path>& files, const StoreOptions& options,
                const Tokenizer& tokenizer);

  /// All but its pieces. Throws FormatError as DocumentFormat::read and parse_qa_item.
  StoreDocument read(const DocumentBatch::Item& item) const;

  /// Its pieces, in order; none where it has no token.
  void tokenise(StoreDocument& document) const;

 private:
  void add(const std::string& text, StoreDocument& document) const;
  void add(const QaThreads& item, StoreDocument& document) const;
  bool holds_questions() const { return options_.contents == StoreContents::questions; }

  const std::vector<std::filesystem::path>& files_;
  const StoreOptions& options_;
  const Tokenizer& tokenizer_;
  std::vector<DocumentFormat> formats_;
};

}  // namespace shine
