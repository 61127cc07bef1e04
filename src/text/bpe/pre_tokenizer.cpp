#include "text/bpe/pre_tokenizer.h"

#include <algorithm>
#include <string>

namespace shine {
namespace {

struct Part {
  TextSpan span;
  bool is_match = false;
};

// The whole text as matches and what lies between them.
std::vector<Part> cut(const PreTokenizerStep& step, std::string_view text) {
  std::vector<Part> parts;
  std::size_t end = 0;
  for (const TextSpan& match : step.pattern->find_all(text)) {
    if (match.begin > end) parts.push_back({{end, match.begin}, step.invert});
    parts.push_back({match, !step.invert});
    end = match.end;
  }
  if (end < text.size()) parts.push_back({{end, text.size()}, step.invert});
  return parts;
}

// Joins a part to its predecessor where `joins(part is a match, predecessor was a match)`.
template <class Joins>
std::vector<Part> merge(const std::vector<Part>& parts, Joins joins) {
  std::vector<Part> merged;
  bool previous = false;
  for (const Part& part : parts) {
    if (!merged.empty() && joins(part.is_match, previous)) {
      TextSpan& last = merged.back().span;
      last = {std::min(last.begin, part.span.begin), std::max(last.end, part.span.end)};
    } else {
      merged.push_back(part);
    }
    previous = part.is_match;
  }
  return merged;
}

std::vector<Part> apply_behavior(SplitBehavior behavior, std::vector<Part> parts) {
  const auto new_match = [](bool is_match, bool previous) { return is_match && !previous; };
  const auto same_kind = [](bool is_match, bool previous) { return is_match == previous; };
  switch (behavior) {
    case SplitBehavior::removed: std::erase_if(parts, [](const Part& part) { return part.is_match; }); return parts;
    case SplitBehavior::contiguous: return merge(parts, same_kind);
    case SplitBehavior::merged_with_previous: return merge(parts, new_match);
    case SplitBehavior::merged_with_next:
      std::reverse(parts.begin(), parts.end());
      parts = merge(parts, new_match);
      std::reverse(parts.begin(), parts.end());
      return parts;
    case SplitBehavior::isolated: break;
  }
  return parts;
}

// The parts as they are, where every match and everything between matches is a piece.
void split_isolated(const PreTokenizerStep& step, std::string_view text, std::size_t start,
                    std::vector<Piece>& result) {
  const auto add = [&](std::size_t begin, std::size_t end) {
    if (begin < end) result.push_back({{start + begin, start + end}, false});
  };
  std::size_t end = 0;
  for (const TextSpan& match : step.pattern->find_all(text)) {
    add(end, match.begin);
    add(match.begin, match.end);
    end = match.end;
  }
  add(end, text.size());
}

void split_piece(const PreTokenizerStep& step, std::string_view text, const Piece& piece, std::vector<Piece>& result) {
  const std::string_view inside = text.substr(piece.span.begin, piece.span.end - piece.span.begin);
  const bool prefix = step.add_prefix_space && !inside.starts_with(' ');
  if (!step.pattern) {
    result.push_back({piece.span, prefix});
    return;
  }
  if (step.behavior == SplitBehavior::isolated && !prefix)
    return split_isolated(step, inside, piece.span.begin, result);
  const std::string prefixed = prefix ? ' ' + std::string(inside) : std::string();
  const std::size_t added = prefix ? 1 : 0;
  for (const Part& part : apply_behavior(step.behavior, cut(step, prefix ? prefixed : inside))) {
    if (part.span.begin == part.span.end) continue;
    const bool has_prefix = prefix && part.span.begin == 0;
    const std::size_t begin = has_prefix ? 0 : part.span.begin - added;
    result.push_back({{piece.span.begin + begin, piece.span.begin + part.span.end - added}, has_prefix});
  }
}

}  // namespace

std::vector<Piece> PreTokenizer::split(std::string_view text) const {
  std::vector<Piece> pieces;
  if (!text.empty()) pieces.push_back({{0, text.size()}, false});
  for (const PreTokenizerStep& step : steps_) {
    std::vector<Piece> cut_pieces;
    for (const Piece& piece : pieces) split_piece(step, text, piece, cut_pieces);
    pieces = std::move(cut_pieces);
  }
  return pieces;
}

}  // namespace shine
