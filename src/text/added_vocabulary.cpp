#include "text/added_vocabulary.h"

#include <algorithm>
#include <utility>

#include "text/unicode/regex.h"
#include "text/unicode/utf8.h"

namespace shine {
namespace {

std::size_t white_space_begin(std::string_view text, std::size_t end, std::size_t limit) {
  while (end > limit) {
    const Utf8Unit last = previous_character(text, end);
    if (!is_white_space(last.code_point)) break;
    end -= last.length;
  }
  return end;
}

std::size_t white_space_end(std::string_view text, std::size_t begin) {
  while (begin < text.size()) {
    const Utf8Unit first = next_utf8_unit(text.substr(begin));
    if (!is_white_space(first.code_point)) break;
    begin += first.length;
  }
  return begin;
}

}  // namespace

void StringTrie::insert(std::string_view text, std::int32_t value) {
  std::size_t node = 0;
  if (!text.empty()) starts_[static_cast<unsigned char>(text.front())] = true;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    auto& children = nodes_[node].children;
    const auto place = std::lower_bound(children.begin(), children.end(), std::pair(byte, std::int32_t{0}));
    if (place != children.end() && place->first == byte) {
      node = static_cast<std::size_t>(place->second);
    } else {
      children.emplace(place, byte, static_cast<std::int32_t>(nodes_.size()));
      node = nodes_.size();
      nodes_.emplace_back();
    }
  }
  if (nodes_[node].value < 0) nodes_[node].value = value;
}

StringTrie::Match StringTrie::longest_at(std::string_view text, std::size_t at) const {
  Match longest;
  std::size_t node = 0;
  for (std::size_t i = at; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto& children = nodes_[node].children;
    const auto place = std::lower_bound(children.begin(), children.end(), std::pair(byte, std::int32_t{0}));
    if (place == children.end() || place->first != byte) break;
    node = static_cast<std::size_t>(place->second);
    if (nodes_[node].value >= 0) longest = {i + 1 - at, nodes_[node].value};
  }
  return longest;
}

void AddedVocabulary::add(const AddedToken& token, std::int32_t id, std::string_view normalized) {
  const auto [place, is_new] = by_content_.try_emplace(token.content, entries_.size());
  if (is_new) {
    entries_.push_back({token, id, false});
    by_id_[id] = entries_.size() - 1;
  }
  Entry& entry = entries_[place->second];
  if (!is_new && entry.token == token) return;
  entry.token = token;
  // What was special remains so, and is looked for in the text that it was first looked for in.
  if (std::exchange(entry.special, entry.special || token.special)) return;
  const auto index = static_cast<std::int32_t>(place->second);
  if (token.normalized) {
    normalized_.insert(normalized, index);
  } else {
    raw_.insert(token.content, index);
  }
}

std::optional<std::int32_t> AddedVocabulary::find(std::string_view content) const {
  const auto found = by_content_.find(content);
  if (found == by_content_.end()) return std::nullopt;
  return entries_[found->second].id;
}

bool AddedVocabulary::is_special(std::int32_t id) const {
  const auto found = by_id_.find(id);
  return found != by_id_.end() && entries_[found->second].special;
}

bool AddedVocabulary::stands_alone(std::string_view text, TextSpan match) {
  static const Regex word_character(R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200C}\x{200D}])", "added tokens");
  if (match.begin > 0) {
    const std::size_t length = previous_character(text, match.begin).length;
    if (word_character.matches(text.substr(match.begin - length, length))) return false;
  }
  if (match.end == text.size()) return true;
  const std::string_view after = text.substr(match.end);
  return !word_character.matches(after.substr(0, next_utf8_unit(after).length));
}

std::vector<AddedVocabulary::Part> AddedVocabulary::split(std::string_view text, Form form,
                                                          const IsEscaped& is_escaped) const {
  const StringTrie& trie = form == Form::raw ? raw_ : normalized_;
  std::vector<Part> parts;
  std::size_t done = 0;
  std::size_t white_end = 0;  // of the white space last taken
  for (std::size_t at = trie.next_start(text, 0); at < text.size(); at = trie.next_start(text, at)) {
    const StringTrie::Match match = trie.longest_at(text, at);
    TextSpan span{at, at + match.length};
    if (match.value < 0 || is_escaped(span)) {
      ++at;
      continue;
    }
    at = span.end;
    const Entry& entry = entries_[static_cast<std::size_t>(match.value)];
    if (entry.token.single_word && !stands_alone(text, span)) continue;
    if (entry.token.lstrip) span.begin = white_space_begin(text, span.begin, done);
    if (entry.token.rstrip) span.end = white_end = white_space_end(text, std::max(span.end, white_end));
    if (span.begin > done) parts.push_back({std::nullopt, {done, span.begin}});
    parts.push_back({entry.id, span});
    done = span.end;
  }
  if (done < text.size()) parts.push_back({std::nullopt, {done, text.size()}});
  return parts;
}

}  // namespace shine
