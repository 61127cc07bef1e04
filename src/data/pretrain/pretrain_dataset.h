#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/parallel.h"
#include "data/dataset.h"
#include "data/pretrain/text_groups.h"
#include "shine/config/data_config.h"
#include "shine/text/chat_format.h"
#include "shine/text/tokenizer.h"

namespace shine {

/// Options of stage `pretrain`; lengths in tokens.
struct PretrainOptions {
  std::int64_t context_max_length = 0;
  std::int64_t conversation_max_length = 0;
  std::size_t open_groups = 100;
  /// Of texts: cut, or split, which lets no context or conversation be cut. `automatic` is cut.
  OverLong over_long = OverLong::cut;
  /// Probability that a text is completed rather than reconstructed.
  double completion_frequency = 0.5;
  /// Bounds of the share of words, drawn uniformly, that completion drops from the end of the context.
  double completion_drop_min = 0.1;
  double completion_drop_max = 0.3;
  /// Joins the kept words by single spaces (the published form) instead of keeping the spacing.
  bool collapse_whitespace = false;
  /// Whether special-token strings inside a text are special tokens or plain text.
  SpecialTokens special_tokens = SpecialTokens::parse;
  ChatFormat chat_format = chatml_format();
  std::uint64_t seed = 0;
  /// Threads that tokenise at construction; 0: as many as cores.
  int threads = 0;
};

/// What packing and the maximum lengths do to the texts, for the log. PackingReport counts what is packed: pieces where
/// texts are split.
struct PretrainReport : PackingReport {
  std::int64_t tokens = 0;    ///< of all texts
  std::size_t split_off = 0;  ///< pieces beyond the first of each text
  /// Groups whose contexts exceed the maximum length before completion drops words.
  std::size_t contexts_over_long = 0;
  /// Tokens that will be cut from these contexts; fewer where completion drops words.
  std::int64_t context_tokens_cut = 0;

  /// Tokens of texts that no sample holds, in its context or its conversation.
  std::int64_t tokens_lost() const { return std::max(tokens_cut, context_tokens_cut); }
};

/// Self-supervised pretraining (paper section 4). Texts are packed once into groups; a sample is one group. Context:
/// its texts in random order, joined by the format's text_end (<|endoftext|>), those to be completed without their last
/// words. Conversation: for each text, in another random order, user "<RECON>" or "<COMP>" and assistant the full text,
/// trained. Both are cut at their maximum lengths, unless over-long texts are split. Tasks, cuts and orders are drawn
/// anew for each (seed, epoch, index).
class PretrainDataset : public Dataset {
 public:
  /// Tokenises all texts for their lengths; the ids are made again for each sample.
  /// @param tokenizer  knows <|endoftext|>, <RECON> and <COMP>; throws ConfigError otherwise
  /// Throws ConfigError when there is no text, a length is too small, a probability is outside its range, or
  /// over_long is drop.
  PretrainDataset(std::vector<std::string> texts, std::shared_ptr<const Tokenizer> tokenizer,
                  const PretrainOptions& options, const Progress& progress = {});

  std::size_t size() const override { return groups_.size(); }
  Sample sample(std::int64_t epoch, std::size_t index) const override;

  /// Of the group without completion, whose contexts are shorter.
  std::int64_t tokens(std::size_t index) const override { return group_tokens_.at(index); }

  /// Of the texts, their ids and all options but `threads`.
  std::uint64_t fingerprint() const override { return fingerprint_; }

  const PretrainReport& report() const { return report_; }

  /// Tokens that a conversation about one text has beside it: 11 with Qwen3's tokenizer.
  std::int64_t turn_overhead() const { return turn_overhead_; }

 private:
  void check_options() const;
  /// Most tokens of a text that is not cut, unless another is packed beside it.
  std::int64_t room() const;
  bool may_cut() const { return options_.over_long == OverLong::cut; }
  void split_texts();
  void pack(const std::vector<std::int64_t>& lengths);
  std::uint64_t hash_options() const;
  std::string context_part(const std::string& text, double drop) const;

  std::vector<std::string> texts_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  PretrainOptions options_;
  std::int64_t separator_id_ = 0;
  std::int64_t turn_overhead_ = 0;
  std::vector<std::int64_t> opening_;  ///< what a conversation begins with before its first message
  /// The user's messages that ask for reconstruction and for completion.
  std::vector<std::int64_t> reconstruct_request_;
  std::vector<std::int64_t> complete_request_;
  std::vector<std::vector<std::size_t>> groups_;
  std::vector<std::int64_t> group_tokens_;
  PretrainReport report_;
  std::uint64_t fingerprint_ = 0;
};

}  // namespace shine
