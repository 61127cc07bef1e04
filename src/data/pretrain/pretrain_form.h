#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/pretrain/text_groups.h"
#include "shine/config/data_config.h"
#include "shine/data/sample.h"
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

/// A text of a group.
struct PretrainText {
  std::string text;
  /// Of the whole text by itself; empty where they are to be made.
  std::vector<std::int64_t> ids = {};
};

/// How a group of texts becomes a sample of stage pretrain (see PretrainDataset), wherever the texts come from.
class PretrainForm {
 public:
  /// @param tokenizer  knows the format's text_end, <RECON> and <COMP>; throws ConfigError otherwise
  /// Throws ConfigError when a length is too small, a probability is outside its range, or over_long is drop.
  PretrainForm(std::shared_ptr<const Tokenizer> tokenizer, const PretrainOptions& options);

  /// Tokens that a conversation about one text has beside it: 11 with Qwen3's tokenizer.
  std::int64_t turn_overhead() const { return turn_overhead_; }

  /// Most tokens of a text that is not cut, unless another is packed beside it.
  std::int64_t room() const;

  /// What a text of so many tokens costs in a group: its share of the conversation, whose opening stands there once.
  std::int64_t cost(std::int64_t tokens) const { return tokens + turn_overhead_ - opening_tokens(); }

  /// Most that the texts of a group cost together. Where texts are split, a group's context, which has at most its
  /// conversation's tokens less one template, is within `room` too.
  std::int64_t max_cost() const;

  bool splits() const { return options_.over_long == OverLong::split; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  const PretrainOptions& options() const { return options_; }

  /// Tokens of a group's sample without completion; counts what is cut from its context.
  /// @param tokens  of its texts together
  std::int64_t count_group(std::int64_t tokens, std::size_t texts, PretrainReport& report) const;

  /// The sample of a group at its place.
  Sample make(std::int64_t epoch, std::size_t index, std::span<const PretrainText> group) const;

  /// Of all options but `threads`, and of the template.
  std::uint64_t fingerprint() const;

 private:
  std::int64_t opening_tokens() const { return static_cast<std::int64_t>(opening_.size()); }
  void check_options() const;
  std::vector<std::int64_t> context_part(const PretrainText& text, double drop) const;

  std::shared_ptr<const Tokenizer> tokenizer_;
  PretrainOptions options_;
  std::int64_t separator_id_ = 0;
  std::int64_t turn_overhead_ = 0;
  std::vector<std::int64_t> opening_;  ///< what a conversation begins with before its first message
  /// The user's messages that ask for reconstruction and for completion.
  std::vector<std::int64_t> reconstruct_request_;
  std::vector<std::int64_t> complete_request_;
};

}  // namespace shine
