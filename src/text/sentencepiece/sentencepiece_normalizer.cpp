#include "text/sentencepiece/sentencepiece_normalizer.h"

#include "text/unicode/utf8.h"

namespace shine {
namespace {

// A unit of a double-array trie as darts-clone stores it: bits 0 to 7 and 31 a label, bit 8 whether a key ends here,
// bits 10 to 30 the offset of the children, times 256 where bit 9 is set; or, in a leaf, bits 0 to 30 a value.
bool ends_key(std::uint32_t unit) {
  return (unit >> 8 & 1) != 0;
}
std::uint32_t label_of(std::uint32_t unit) {
  return unit & (1U << 31 | 0xFF);
}
std::uint32_t offset_of(std::uint32_t unit) {
  return (unit >> 10) << ((unit & 1U << 9) >> 6);
}
std::uint32_t value_of(std::uint32_t unit) {
  return unit & ((1U << 31) - 1);
}

}  // namespace

SentencePieceNormalizer::Step SentencePieceNormalizer::longest_rule(std::string_view text) const {
  const std::vector<std::uint32_t>& trie = rules_.trie;
  Step longest;
  if (trie.empty()) return longest;
  std::uint32_t node = offset_of(trie[0]);
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    node ^= byte;
    if (node >= trie.size() || label_of(trie[node]) != byte) break;
    const std::uint32_t unit = trie[node];
    node ^= offset_of(unit);
    if (node >= trie.size()) break;
    if (!ends_key(unit)) continue;
    const std::size_t place = value_of(trie[node]);
    if (place < rules_.replacements.size()) longest = {rules_.replacements.c_str() + place, i + 1};
  }
  return longest;
}

SentencePieceNormalizer::Step SentencePieceNormalizer::next_step(std::string_view text,
                                                                 const StringTrie& symbols) const {
  if (const std::size_t length = symbols.longest_at(text, 0).length; length > 0)
    return {text.substr(0, length), length};
  if (const Step rule = longest_rule(text); rule.length > 0) return rule;
  const std::size_t length = valid_utf8_unit(text.data()).length;
  return {text.substr(0, length), length};
}

SentencePieceText SentencePieceNormalizer::normalize(std::string_view text, const StringTrie& symbols) const {
  SentencePieceText result;
  std::size_t read = 0;
  const auto write = [&](std::string_view bytes) {
    result.text += bytes;
    result.sources.insert(result.sources.end(), bytes.size(), read);
  };

  if (rules_.remove_extra_spaces) {
    while (read < text.size()) {
      const Step step = next_step(text.substr(read), symbols);
      if (step.text != " ") break;
      read += step.length;
    }
  }
  if (read == text.size()) {
    result.sources.push_back(read);
    return result;
  }
  result.text.reserve(text.size() + text.size() / 4);
  if (rules_.dummy_prefix) write(kSpaceMark);

  bool after_space = rules_.remove_extra_spaces;
  while (read < text.size()) {
    const Step step = next_step(text.substr(read), symbols);
    std::string_view rest = step.text;
    while (after_space && rest.starts_with(' ')) rest.remove_prefix(1);
    for (const char& c : rest) write(c == ' ' ? kSpaceMark : std::string_view(&c, 1));
    if (!rest.empty()) after_space = rules_.remove_extra_spaces && rest.ends_with(' ');
    read += step.length;
  }

  if (rules_.remove_extra_spaces) {
    while (result.text.ends_with(kSpaceMark)) {
      result.text.resize(result.text.size() - kSpaceMark.size());
      read = result.sources[result.text.size()];
      result.sources.resize(result.text.size());
    }
  }
  result.sources.push_back(read);
  return result;
}

}  // namespace shine
