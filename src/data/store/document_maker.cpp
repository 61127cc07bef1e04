#include "data/store/document_maker.h"

#include <utility>

#include "data/pretrain/text_pieces.h"
#include "data/pretrain/words.h"
#include "data/store/item_ids.h"
#include "data/store/shard_format.h"
#include "shine/common/error.h"
#include "text/json_text.h"

namespace shine {

DocumentMaker::DocumentMaker(const std::vector<std::filesystem::path>& files, const StoreOptions& options,
                             const Tokenizer& tokenizer)
    : files_(files), options_(options), tokenizer_(tokenizer) {
  SHINE_CHECK(options.split >= 0, ConfigError, "documents cannot be split into pieces of ", options.split, " tokens");
  SHINE_CHECK(options.split == 0 || !holds_questions(), ConfigError,
              "questions are not split when they are stored (data.over_long: split does it)");
  for (const auto& file : files) {
    formats_.emplace_back(file, options.field);
    SHINE_CHECK(formats_.back().is_jsonl() || !holds_questions(), ConfigError, file.string(),
                ": no file of questions (use .jsonl; shine_prepare qa makes it)");
  }
}

StoreDocument DocumentMaker::read(const DocumentBatch::Item& item) const {
  StoreDocument document;
  if (holds_questions()) {
    document.is_repaired = repair_json(item.raw.bytes) != item.raw.bytes;
    QaItem questions = parse_qa_item(item.raw.bytes, files_[item.place.file], item.raw.line);
    if (options_.unique) {
      questions.id = questions.source = {};
      questions.sft_conversations = {};
      document.key = text_key(qa_item_json(questions));
    }
    document.item = threads_of(std::move(questions));
    return document;
  }
  DocumentText text = formats_[item.place.file].read(item.raw);
  if (options_.unique) document.key = text_key(text.text);
  document.is_blank = text.text.empty();
  document.is_repaired = text.repaired;
  document.text = std::move(text.text);
  return document;
}

void DocumentMaker::add(const std::string& text, StoreDocument& document) const {
  auto ids = tokenizer_.encode(text, options_.special_tokens).ids;
  if (ids.empty()) return;
  document.is_changed = document.is_changed || tokenizer_.decode(ids) != text;
  document.pieces.push_back({std::move(ids), text_hash(text)});
}

void DocumentMaker::add(const QaThreads& item, StoreDocument& document) const {
  const ItemIds ids = tokenize_item(item, tokenizer_, options_.special_tokens);
  if (ids.context.empty()) return;
  QaThreads given_back{tokenizer_.decode(ids.context), {}};
  for (const auto& thread : ids.threads) given_back.threads.push_back(decode_thread(thread, tokenizer_));
  document.is_changed = given_back != item;
  document.pieces.push_back({item_document(ids, tokenizer_.size()), context_hash(item.context)});
}

void DocumentMaker::tokenise(StoreDocument& document) const {
  if (holds_questions()) return add(document.item, document);
  if (options_.split == 0) return add(document.text, document);
  for (const std::string& piece : split_text(document.text, options_.split, tokenizer_, options_.special_tokens)) {
    add(piece, document);
  }
}

}  // namespace shine
