#include "data/store/tokenizer_fingerprint.h"

#include <string>
#include <string_view>

#include "common/hash.h"
#include "common/random.h"

namespace shine {
namespace {

/// Digits, white space, capitals, contractions, accents in both forms, other scripts, marks.
constexpr std::string_view kProbe =
    "It's 12345 (6,789.01)  tabs\tand\r\nlines\n\n  don't WE'LL camelCase snake_case http://x.y/?q=1 "
    "caf\u00e9 cafe\u0301 \u00df\u0131 \u0416\u0443\u043a \u4f60\u597d\uff0c \u0e01\u0e33 "
    "\U0001f600\U0001f468\u200d\U0001f469 \ufb01 \u00bd \u00a0 \u2026 \xff <|im_start|> <RECON>";

constexpr std::uint64_t kSeed = 20'240'607;
constexpr int kTexts = 256;
constexpr int kTokensPerText = 32;

void add_ids(const Tokenizer& tokenizer, std::string_view text, Fnv1a& hash) {
  const auto ids = tokenizer.encode(text).ids;
  hash.add(std::uint64_t{ids.size()});
  for (const std::int64_t id : ids) hash.add(id);
}

}  // namespace

std::uint64_t tokenizer_fingerprint(const Tokenizer& tokenizer) {
  Fnv1a hash;
  const std::int64_t size = tokenizer.size();
  hash.add(size);
  for (std::int64_t id = 0; id < size; ++id) {
    const std::string_view bytes = tokenizer.token_bytes(id);
    hash.add(std::uint64_t{bytes.size()}).add_bytes(bytes).add(std::uint64_t{tokenizer.is_special(id)});
  }
  add_ids(tokenizer, kProbe, hash);
  // Tokens side by side and cut in two: what they are joined to hangs on the merges.
  Random random(kSeed);
  for (int i = 0; i < kTexts && size > 0; ++i) {
    std::string text;
    for (int k = 0; k < kTokensPerText; ++k) {
      const std::string_view bytes =
          tokenizer.token_bytes(static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(size))));
      text += bytes.substr(bytes.size() / 2 * random.below(2));
    }
    add_ids(tokenizer, text, hash);
  }
  return hash.value();
}

}  // namespace shine
