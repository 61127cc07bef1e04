#include "data/pretrain/lm_dataset.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <utility>

#include "common/hash.h"
#include "data/sampling/random_streams.h"
#include "shine/common/error.h"
#include "shine/text/chat_template.h"
#include "shine/text/special_tokens.h"

namespace shine {
namespace {

enum class DocumentForm { plain, repeated_by_user, repeated_from_context };

std::vector<DocumentForm> choose_forms(std::size_t documents, const LmOptions& options, bool has_reconstruct) {
  std::vector<std::size_t> order(documents);
  std::iota(order.begin(), order.end(), std::size_t{0});
  stream_of(options.seed, RandomPurpose::repeated_documents).shuffle(order);
  const auto repeated = static_cast<std::size_t>(std::llround(options.repeat_share * static_cast<double>(documents)));
  std::vector<DocumentForm> forms(documents, DocumentForm::plain);
  for (std::size_t i = 0; i < repeated; ++i) {
    forms[order[i]] =
        i % 2 == 1 && has_reconstruct ? DocumentForm::repeated_from_context : DocumentForm::repeated_by_user;
  }
  return forms;
}

/// Tokens of one document in its form, the format's text_end at the end.
class DocumentWriter {
 public:
  DocumentWriter(const Tokenizer& tokenizer, const LmOptions& options)
      : tokenizer_(tokenizer),
        special_tokens_(options.special_tokens),
        format_(options.chat_format),
        end_id_(require_token(tokenizer, format_.text_end)) {}

  std::vector<std::int32_t> write(const std::string& text, DocumentForm form) const {
    std::vector<std::int32_t> ids;
    if (form == DocumentForm::repeated_by_user) {
      append(ids, tokenize_chat(tokenizer_, std::array{ChatMessage{"user", text}, ChatMessage{"assistant", text}},
                                special_tokens_, format_)
                      .ids);
    } else {
      append(ids, tokenizer_.encode(text, special_tokens_).ids);
    }
    if (form == DocumentForm::repeated_from_context) {
      append(ids, {end_id_});
      append(ids, tokenize_chat(tokenizer_, std::array{ChatMessage{"user", std::string(kReconstruct)}},
                                SpecialTokens::parse, format_)
                      .ids);
      append(ids, tokenize_chat(tokenizer_, std::array{ChatMessage{"assistant", text}}, special_tokens_, format_,
                                ChatPart::later)
                      .ids);
    }
    append(ids, {end_id_});
    return ids;
  }

 private:
  static void append(std::vector<std::int32_t>& row, const std::vector<std::int64_t>& ids) {
    for (const std::int64_t id : ids) row.push_back(static_cast<std::int32_t>(id));
  }

  const Tokenizer& tokenizer_;
  SpecialTokens special_tokens_;
  const ChatFormat& format_;
  std::int64_t end_id_;
};

}  // namespace

/// The documents of an epoch in their order: documents[k] begins at begins[k] of the epoch's stream.
struct LmDataset::Order {
  std::int64_t epoch = 0;
  std::vector<std::size_t> documents;
  std::vector<std::size_t> begins;
};

LmDataset::LmDataset(const std::vector<std::string>& texts, std::shared_ptr<const Tokenizer> tokenizer,
                     const LmOptions& options, const Progress& progress)
    : row_length_(static_cast<std::size_t>(std::max<std::int64_t>(options.row_length, 0))), seed_(options.seed) {
  SHINE_CHECK(!texts.empty(), ConfigError, "there is no text to train the backbone on");
  SHINE_CHECK(options.row_length >= 2, ConfigError, "a row must be at least 2 tokens long, found ", options.row_length);
  SHINE_CHECK(options.repeat_share >= 0 && options.repeat_share <= 1, ConfigError,
              "the share of repeated documents must be in [0, 1], found ", options.repeat_share);

  const DocumentWriter writer(*tokenizer, options);
  const auto forms = choose_forms(texts.size(), options, tokenizer->token_to_id(kReconstruct).has_value());
  std::vector<std::vector<std::int32_t>> documents(texts.size());
  parallel_for(
      texts.size(), options.threads, [&](std::size_t i) { documents[i] = writer.write(texts[i], forms[i]); }, progress);

  starts_.reserve(texts.size() + 1);
  starts_.push_back(0);
  for (const auto& document : documents) starts_.push_back(starts_.back() + document.size());
  ids_.reserve(starts_.back());
  for (auto& document : documents) {
    ids_.insert(ids_.end(), document.begin(), document.end());
    document = {};
  }
  fingerprint_ = hash_all();
}

std::uint64_t LmDataset::hash_all() const {
  Fnv1a hash;
  hash.add(std::uint64_t{row_length_}).add(seed_).add(std::uint64_t{starts_.size()});
  for (const std::size_t start : starts_) hash.add(std::uint64_t{start});
  for (const std::int32_t id : ids_) hash.add(std::int64_t{id});
  return hash.value();
}

std::size_t LmDataset::size() const {
  return ids_.size() / row_length_ + (ids_.size() % row_length_ >= 2 ? 1 : 0);
}

std::int64_t LmDataset::tokens(std::size_t index) const {
  SHINE_CHECK(index < size(), ConfigError, "there is no row ", index, ", the dataset has ", size());
  return static_cast<std::int64_t>(std::min(row_length_, ids_.size() - index * row_length_));
}

std::shared_ptr<const LmDataset::Order> LmDataset::order_of(std::int64_t epoch) const {
  const std::lock_guard lock(mutex_);
  if (latest_order_ && latest_order_->epoch == epoch) return latest_order_;
  auto order = std::make_shared<Order>();
  order->epoch = epoch;
  order->documents.resize(starts_.size() - 1);
  std::iota(order->documents.begin(), order->documents.end(), std::size_t{0});
  stream_of(seed_, RandomPurpose::document_order, epoch).shuffle(order->documents);
  order->begins.reserve(order->documents.size());
  std::size_t begin = 0;
  for (const std::size_t document : order->documents) {
    order->begins.push_back(begin);
    begin += starts_[document + 1] - starts_[document];
  }
  latest_order_ = order;
  return order;
}

Sample LmDataset::sample(std::int64_t epoch, std::size_t index) const {
  SHINE_CHECK(index < size(), ConfigError, "there is no row ", index, ", the dataset has ", size());
  const auto order = order_of(epoch);
  std::size_t position = index * row_length_;
  const std::size_t end = std::min(position + row_length_, ids_.size());

  Sample sample;
  sample.conversation_ids.reserve(end - position);
  auto place = static_cast<std::size_t>(std::ranges::upper_bound(order->begins, position) - order->begins.begin()) - 1;
  for (; position < end; ++place) {
    const std::size_t document = order->documents[place];
    const std::size_t skipped = position - order->begins[place];
    const std::size_t length = starts_[document + 1] - starts_[document];
    const std::size_t taken = std::min(length - skipped, end - position);
    const auto from = ids_.begin() + static_cast<std::ptrdiff_t>(starts_[document] + skipped);
    sample.conversation_ids.insert(sample.conversation_ids.end(), from, from + static_cast<std::ptrdiff_t>(taken));
    position += taken;
  }
  sample.labels = sample.conversation_ids;
  return sample;
}

}  // namespace shine
