#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/pretrain/pretrain_form.h"
#include "data/store/group_index.h"
#include "data/store/token_store.h"

namespace shine {

/// PretrainDataset over a token store: the same groups and, for the same documents, bit for bit the same samples, with
/// a start and memory that do not grow with the store (apart from the first start with new lengths, which makes the
/// groups). Texts are decoded from their ids; the samples of a text that these do not give back exactly
/// (StoreStatistics::changed) are those of the text as decoded.
class StoreDataset : public Dataset {
 public:
  /// @param held_out  text_hash of texts that are not trained on
  /// Throws ConfigError as PretrainForm, where the tokenizer is not the store's, and where over_long is split and the
  /// store holds a document that is too long; and what open_groups throws.
  StoreDataset(std::shared_ptr<const TokenStore> store, std::shared_ptr<const Tokenizer> tokenizer,
               const PretrainOptions& options, const std::vector<std::uint64_t>& held_out = {});

  std::size_t size() const override { return groups_.size(); }
  Sample sample(std::int64_t epoch, std::size_t index) const override;
  std::int64_t tokens(std::size_t index) const override { return groups_.tokens(index); }
  std::uint64_t fingerprint() const override { return fingerprint_; }
  bool has_computed_order() const override { return true; }

  PretrainReport report() const { return groups_.report(); }

  /// Documents left out as held-out ones.
  std::size_t dropped() const { return groups_.dropped(); }

 private:
  std::shared_ptr<const TokenStore> store_;
  PretrainForm form_;
  GroupIndex groups_;
  std::uint64_t fingerprint_ = 0;
};

/// The documents that are kept for validation: about `share` of them, at least one if share > 0, the same ones for the
/// same seed, ascending. Throws ConfigError if share is outside [0, 1) or there are fewer than two documents to split.
std::vector<std::size_t> held_out_documents(const TokenStore& store, double share, std::uint64_t seed);

/// Documents of a store that are kept for validation.
struct HeldOut {
  std::vector<std::string> texts;     ///< in the order of the store
  std::vector<std::uint64_t> hashes;  ///< text_hash of each; training drops every document that has one of them
};

/// The documents of held_out_documents, decoded into memory.
HeldOut hold_out(const TokenStore& store, const Tokenizer& tokenizer, double share, std::uint64_t seed);

}  // namespace shine
