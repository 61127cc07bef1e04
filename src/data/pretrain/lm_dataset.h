#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/parallel.h"
#include "data/dataset.h"
#include "shine/text/chat_format.h"
#include "shine/text/tokenizer.h"

namespace shine {

/// Options of stage `backbone`.
struct LmOptions {
  /// Tokens of a row.
  std::int64_t row_length = 0;
  /// Share of the documents turned into conversations that repeat them.
  double repeat_share = 0;
  SpecialTokens special_tokens = SpecialTokens::parse;
  ChatFormat chat_format = chatml_format();
  std::uint64_t seed = 0;
  /// Threads that tokenise at construction; 0: as many as cores.
  int threads = 0;
};

/// Plain causal language modelling, for stage `backbone`. Each document's tokens end with the format's text_end
/// (<|endoftext|>); all documents, in an order drawn per epoch, make one stream that is cut into rows. The last row may
/// be shorter; a single token left over, which has nothing to predict, is left out. context_ids is empty.
///
/// A share of the documents, the same ones in every epoch, is written in two alternating forms, so that a small
/// backbone learns the chat format and copying:
/// - user: the text; assistant: the text;
/// - the text, text_end, then user: <RECON>; assistant: the text (only where the tokenizer has <RECON>, else the
///   first form again).
///
/// labels = conversation_ids everywhere: a backbone models all text, the user's side of a conversation included, and a
/// row may begin in the middle of a document, where a mask by role would mean nothing.
class LmDataset : public Dataset {
 public:
  /// Tokenises all texts. Throws ConfigError when there is no text, row_length < 2, repeat_share is outside [0, 1] or
  /// the tokenizer has no text_end.
  LmDataset(const std::vector<std::string>& texts, std::shared_ptr<const Tokenizer> tokenizer, const LmOptions& options,
            const Progress& progress = {});

  std::size_t size() const override;
  Sample sample(std::int64_t epoch, std::size_t index) const override;

  /// The row's length.
  std::int64_t tokens(std::size_t index) const override;

  /// Of the documents' ids, the row length and the seed.
  std::uint64_t fingerprint() const override { return fingerprint_; }

  /// Tokens of an epoch.
  std::size_t tokens_per_epoch() const { return starts_.back(); }

 private:
  struct Order;
  std::uint64_t hash_all() const;
  std::shared_ptr<const Order> order_of(std::int64_t epoch) const;

  std::size_t row_length_;
  std::uint64_t seed_;
  std::uint64_t fingerprint_ = 0;
  /// Document d is ids_[starts_[d] .. starts_[d + 1]).
  std::vector<std::int32_t> ids_;
  std::vector<std::size_t> starts_;

  mutable std::mutex mutex_;
  mutable std::shared_ptr<const Order> latest_order_;
};

}  // namespace shine
