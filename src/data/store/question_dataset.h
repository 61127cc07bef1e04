#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "data/dataset.h"
#include "data/qa/qa_items.h"
#include "data/qa/qa_sample_form.h"
#include "data/store/sample_index.h"
#include "data/store/token_store.h"

namespace shine {

/// QaDataset over a store of questions: for the same items bit for bit the same samples in the same order, with a start
/// and memory that do not grow with the store (apart from the first start with new lengths, which measures the
/// conversations). Texts are decoded from their ids; items that these do not give back exactly
/// (StoreStatistics::changed) are those as decoded.
class QuestionDataset : public Dataset {
 public:
  /// @param held_out  context_hash of contexts that are not trained on
  /// Throws ConfigError as QaDataset, with place prompt, and where the store holds texts or the tokenizer is another;
  /// and what open_samples throws.
  QuestionDataset(std::shared_ptr<const TokenStore> store, std::shared_ptr<const Tokenizer> tokenizer,
                  const QaOptions& options, const std::vector<std::uint64_t>& held_out = {});

  std::size_t size() const override { return samples_.size(); }
  Sample sample(std::int64_t epoch, std::size_t index) const override;
  std::int64_t tokens(std::size_t index) const override { return samples_.tokens(index); }
  std::uint64_t fingerprint() const override { return fingerprint_; }

  QaReport report() const { return samples_.report(); }

  /// Items left out as held-out ones.
  std::size_t left_out() const { return samples_.left_out(); }

 private:
  std::shared_ptr<const TokenStore> store_;
  QaSampleForm form_;
  SampleIndex samples_;
  std::uint64_t fingerprint_ = 0;
};

/// The items of held_out_documents, decoded, named by their numbers in the store; conversations each.
std::vector<QaItem> hold_out_items(const TokenStore& store, const Tokenizer& tokenizer, double share,
                                   std::uint64_t seed);

}  // namespace shine
