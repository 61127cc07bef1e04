#include "data/store/question_dataset.h"

#include <span>
#include <utility>

#include "common/hash.h"
#include "data/store/item_ids.h"
#include "data/store/store_dataset.h"
#include "shine/common/error.h"

namespace shine {
namespace {

ItemIds item_of(const TokenStore& store, std::size_t document) {
  return read_item_document(store.ids(document), store.index().text_vocabulary(), store.folder().string());
}

const TokenStore& checked(const TokenStore& store, const QaSampleForm& form) {
  store.require_contents(StoreContents::questions);
  store.require_tokenizer(form.tokenizer(), form.options().special_tokens);
  SHINE_CHECK(form.options().place == ContextPlace::lora, ConfigError, store.folder().string(),
              ": a store of questions is for contexts that a LoRA is generated from, not for those in the prompt");
  return store;
}

}  // namespace

QuestionDataset::QuestionDataset(std::shared_ptr<const TokenStore> store, std::shared_ptr<const Tokenizer> tokenizer,
                                 const QaOptions& options, const std::vector<std::uint64_t>& held_out)
    : store_(std::move(store)),
      form_(std::move(tokenizer), options),
      samples_(open_samples(checked(*store_, form_), form_, held_out)) {
  Fnv1a hash;
  hash.add(form_.fingerprint()).add(sample_key(*store_, form_, held_out));
  fingerprint_ = hash.value();
}

Sample QuestionDataset::sample(std::int64_t epoch, std::size_t index) const {
  const SampleIndex::Place place = samples_.place(index);
  ItemIds item = item_of(*store_, place.document);
  if (form_.options().form == QaForm::one_question) item.threads = single_turns(std::move(item.threads));
  if (place.thread >= item.threads.size() || place.end > item.threads[place.thread].size()) {
    throw FormatError(str("damaged: sample ", index, " names turns that are not there"), store_->folder().string(),
                      "remove its .samples files: they are made again");
  }
  const auto turns = std::span(item.threads[place.thread]).subspan(place.first, place.end - place.first);
  std::string context = form_.tokenizer().decode(item.context);
  return form_.make(epoch, index, {std::move(context), std::move(item.context)},
                    decode_thread(turns, form_.tokenizer()));
}

std::vector<QaItem> hold_out_items(const TokenStore& store, const Tokenizer& tokenizer, double share,
                                   std::uint64_t seed) {
  std::vector<QaItem> items;
  for (const std::size_t document : held_out_documents(store, share, seed)) {
    const ItemIds ids = item_of(store, document);
    QaItem& item = items.emplace_back();
    item.id = str(store.folder().filename().string(), ":", document);
    item.context = tokenizer.decode(ids.context);
    for (const auto& thread : ids.threads) {
      auto& conversation = item.conversations.emplace_back();
      for (QaTurn& turn : decode_thread(thread, tokenizer)) {
        conversation.push_back({"user", std::move(turn.question)});
        conversation.push_back({"assistant", std::move(turn.answer)});
      }
    }
  }
  return items;
}

}  // namespace shine
