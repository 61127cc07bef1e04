#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "text/bpe/split_pattern.h"

namespace shine {

/// What happens to the matches of a split pattern (named as in `tokenizers`).
enum class SplitBehavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };

/// One cut of every piece: by a pattern, with or without a space put before pieces that do not begin with one.
struct PreTokenizerStep {
  std::optional<SplitPattern> pattern;  // none: nothing is cut
  SplitBehavior behavior = SplitBehavior::isolated;
  bool invert = false;  // what the pattern does not match counts as its match
  bool add_prefix_space = false;
};

/// A piece of a text that byte-pair merges do not cross; with `prefix_space` a space that is not in the text precedes
/// it.
struct Piece {
  TextSpan span;
  bool prefix_space = false;
};

/// Cuts texts into pieces, step by step, each step within the pieces of the one before.
class PreTokenizer {
 public:
  PreTokenizer() = default;
  explicit PreTokenizer(std::vector<PreTokenizerStep> steps) : steps_(std::move(steps)) {}

  /// The pieces of valid UTF-8 in order, none empty.
  std::vector<Piece> split(std::string_view text) const;

 private:
  std::vector<PreTokenizerStep> steps_;
};

}  // namespace shine
