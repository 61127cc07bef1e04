// A pattern of a pre-tokenizer and, behind a zero byte, the text it cuts.
#include "fuzz/fuzz_target.h"
#include "text/bpe/known_patterns.h"
#include "text/bpe/pre_tokenizer.h"
#include "text/unicode/utf8.h"

namespace shine::fuzz {
namespace {

void check_matches(const SplitPattern& pattern, std::string_view text) {
  const std::vector<TextSpan> matches = pattern.find_all(text);
  require(matches == pattern.regex().find_all(text), "matchers written for a pattern find what it finds");
  std::size_t end = 0;
  for (const TextSpan& match : matches) {
    require(match.begin >= end && match.end >= match.begin && match.end <= text.size(), "matches follow each other");
    end = match.end;
  }
}

void check_pieces(const SplitPattern& pattern, SplitBehavior behavior, bool add_prefix_space, std::string_view text) {
  PreTokenizerStep step;
  step.pattern = pattern;
  step.behavior = behavior;
  step.add_prefix_space = add_prefix_space;
  std::size_t end = 0;
  for (const Piece& piece : PreTokenizer({step}).split(text)) {
    const bool follows = behavior == SplitBehavior::removed ? piece.span.begin >= end : piece.span.begin == end;
    require(follows && piece.span.end >= piece.span.begin, "pieces follow each other");
    end = piece.span.end;
  }
  require(behavior == SplitBehavior::removed ? end <= text.size() : end == text.size(), "pieces cover the text");
}

}  // namespace
}  // namespace shine::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace shine;
  const auto parts = fuzz::split_input(fuzz::as_text(data, size), 2);
  const std::string source = replace_invalid_utf8(parts[0]);
  const std::string text = replace_invalid_utf8(parts[1]);
  static const std::vector<SplitPattern> known = {
      {kQwenPattern, "x"}, {kLlama3Pattern, "x"}, {kGpt2Pattern, "x"}, {kDigitPattern, "x"}};
  for (const SplitPattern& pattern : known) fuzz::check_matches(pattern, text);
  fuzz::accepts([&] {
    const SplitPattern pattern(source, "x");
    fuzz::check_matches(pattern, text);
    for (const bool prefix : {false, true}) {
      fuzz::check_pieces(pattern, SplitBehavior::isolated, prefix, text);
      fuzz::check_pieces(pattern, SplitBehavior::removed, prefix, text);
      fuzz::check_pieces(pattern, SplitBehavior::merged_with_previous, prefix, text);
      fuzz::check_pieces(pattern, SplitBehavior::merged_with_next, prefix, text);
      fuzz::check_pieces(pattern, SplitBehavior::contiguous, prefix, text);
    }
  });
  return 0;
}
