#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/qa/qa_items.h"
#include "shine/text/special_tokens.h"
#include "shine/text/tokenizer.h"

namespace shine {

/// A context and what is asked about it.
struct QaContext {
  std::string id;                  ///< of its item; where it stands for several: the first one's, "+", how many more
  std::string source;              ///< of its (first) item
  std::vector<std::string> texts;  ///< joined by `separator`
  std::vector<std::vector<QaQuestion>> dialogues;  ///< asked turn after turn; a dialogue knows its own turns only
  std::vector<std::vector<ChatMessage>> sft_conversations;
  std::string separator{kTextEnd};  ///< a token

  /// The texts with the separator between them.
  std::string joined() const;
  std::size_t questions() const;
};

/// A random subset by seed, in the original order.
struct QaSelection {
  std::int64_t limit = 0;  ///< 0: all
  std::uint64_t seed = 0;
};

/// One context per item, one dialogue per conversation; `questions` are the turns of one dialogue. The limit counts
/// contexts. Throws ConfigError where two items have one id.
std::vector<QaContext> multi_turn_contexts(const std::vector<QaItem>& items, const QaSelection& selection);

/// Every question is a dialogue of its own; items with equal contexts become one. The limit counts questions; contexts
/// without any are left out. Throws ConfigError where two items have one id.
std::vector<QaContext> one_question_contexts(const std::vector<QaItem>& items, const QaSelection& selection);

/// The ids of a context: its texts with the id of the separator between them.
std::vector<std::int64_t> context_ids(const QaContext& context, const Tokenizer& tokenizer, SpecialTokens treatment);

/// Shuffles the contexts by seed and joins them in ceil(n / tokens) groups of equal count (the first groups have one
/// more where it does not divide), n being the tokens of all of them joined.
/// @param separator  a token, that of the chat format (text_end)
std::vector<QaContext> group_contexts(std::vector<QaContext> contexts, std::int64_t tokens, std::uint64_t seed,
                                      const Tokenizer& tokenizer, SpecialTokens treatment,
                                      std::string_view separator = kTextEnd);

/// For each context the index of another with a different text: the distinct texts form one random cycle by seed, so
/// that each is used once. Throws ConfigError where there is only one text.
std::vector<std::size_t> other_contexts(const std::vector<QaContext>& contexts, std::uint64_t seed);

/// Contexts that are answered together: each has `lanes` rows, which share its dialogues between them.
struct QaBatch {
  std::vector<std::size_t> contexts;
  std::size_t lanes = 1;
};

/// In order, with contexts * lanes at most `rows`, and as many lanes as a context has dialogues at most (up to `rows`).
std::vector<QaBatch> make_batches(const std::vector<QaContext>& contexts, std::int64_t rows);

/// Of contexts, questions, answers and conversations for SFT, in order.
std::uint64_t fingerprint_of(const std::vector<QaContext>& contexts);

}  // namespace shine
