#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shine/text/tokenizer.h"
#include "text/bpe/bpe_model.h"

namespace shine {

/// Finds the longest of several strings that begins at a place.
class StringTrie {
 public:
  StringTrie() : nodes_(1) {}

  /// The first of several equal strings stays.
  void insert(std::string_view text, std::int32_t value);

  struct Match {
    std::size_t length = 0;
    std::int32_t value = -1;  // -1: none
  };
  Match longest_at(std::string_view text, std::size_t at) const;

  /// The first place from `at` on where a string may begin; the end of the text if there is none.
  std::size_t next_start(std::string_view text, std::size_t at) const {
    if (nodes_.size() == 1) return text.size();
    while (at < text.size() && !starts_[static_cast<unsigned char>(text[at])]) ++at;
    return at;
  }

 private:
  struct Node {
    std::vector<std::pair<unsigned char, std::int32_t>> children;  // sorted by byte
    std::int32_t value = -1;
  };
  std::vector<Node> nodes_;
  std::array<bool, 256> starts_{};  // the bytes that strings begin with
};

/// The added tokens of a tokenizer, and their places in texts.
class AddedVocabulary {
 public:
  /// A token that is there takes the new flags, apart from `special`, which stays true. One that was not special is
  /// then looked for in the text of the new flags too.
  /// @param normalized  the content as the normaliser leaves it
  void add(const AddedToken& token, std::int32_t id, std::string_view normalized);

  std::optional<std::int32_t> find(std::string_view content) const;
  bool holds(std::int32_t id) const { return by_id_.contains(id); }
  bool is_special(std::int32_t id) const;

  /// A part of a text: an added token, or (no id) other text.
  struct Part {
    std::optional<std::int32_t> id;
    TextSpan span;
  };
  enum class Form { raw, normalized };  // which of the tokens to look for
  using IsEscaped = std::function<bool(TextSpan)>;

  /// Cuts a text at its added tokens: from left to right, the longest that begins first. White space that a token takes
  /// with it belongs to its span. Places that `is_escaped` are skipped.
  std::vector<Part> split(std::string_view text, Form form, const IsEscaped& is_escaped) const;

 private:
  struct Entry {
    AddedToken token;
    std::int32_t id = 0;
    bool special = false;  // was added as special at least once
  };
  static bool stands_alone(std::string_view text, TextSpan match);

  std::vector<Entry> entries_;
  StringMap<std::size_t> by_content_;
  std::unordered_map<std::int32_t, std::size_t> by_id_;
  StringTrie raw_;
  StringTrie normalized_;
};

}  // namespace shine
