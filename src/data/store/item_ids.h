#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/qa/qa_threads.h"
#include "data/store/store_index.h"
#include "shine/text/tokenizer.h"

namespace shine {

using Ids = std::vector<std::int64_t>;

/// Ids of an item's texts. As one document of a store: the ids of its context, then of each question and answer, each
/// text tokenised by itself and led in by a mark. The marks are ids above the tokenizer's.
struct ItemIds {
  struct Turn {
    Ids question, answer;
    bool operator==(const Turn&) const = default;
  };
  Ids context;
  std::vector<std::vector<Turn>> threads;

  bool operator==(const ItemIds&) const = default;
};

ItemIds tokenize_item(const QaThreads& item, const Tokenizer& tokenizer, SpecialTokens treatment);

/// The document of an item, and back.
/// @param vocabulary  of the tokenizer: the first mark
Ids item_document(const ItemIds& item, std::int64_t vocabulary);

/// @param where  start of error messages
/// Throws FormatError where the marks are in no order that item_document writes.
ItemIds read_item_document(std::span<const std::int64_t> ids, std::int64_t vocabulary, const std::string& where);

/// The texts of a thread.
QaThread decode_thread(std::span<const ItemIds::Turn> turns, const Tokenizer& tokenizer);

}  // namespace shine
