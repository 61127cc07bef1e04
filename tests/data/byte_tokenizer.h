#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "shine/common/error.h"
#include "shine/text/special_tokens.h"
#include "shine/text/tokenizer.h"

namespace shine::test {

/// One id per byte; added tokens follow from 256 on. Lengths can be counted by hand.
class ByteTokenizer final : public Tokenizer {
 public:
  ByteTokenizer() {
    for (int byte = 0; byte < 256; ++byte) bytes_ += static_cast<char>(byte);
    add_tokens(std::vector<AddedToken>{{.content = std::string(kTextEnd)},
                                       {.content = std::string(kMessageStart)},
                                       {.content = std::string(kMessageEnd)}});
    add_task_tokens(*this);
  }

  Encoding encode_with_escapes(std::string_view text, std::span<const TextSpan> escaped) const override {
    Encoding encoding;
    for (std::size_t i = 0; i < text.size();) {
      std::size_t length = 1;
      std::int64_t id = static_cast<unsigned char>(text[i]);
      for (std::size_t token = 0; token < added_.size(); ++token) {
        const std::size_t end = i + added_[token].size();
        if (!text.substr(i).starts_with(added_[token]) || overlaps(escaped, i, end)) continue;
        id = 256 + static_cast<std::int64_t>(token);
        length = added_[token].size();
      }
      encoding.ids.push_back(id);
      encoding.offsets.push_back({i, i + length});
      i += length;
    }
    return encoding;
  }

  std::string_view token_bytes(std::int64_t id) const override {
    if (id >= 256) return added_.at(static_cast<std::size_t>(id - 256));
    return std::string_view(bytes_).substr(static_cast<std::size_t>(id), 1);
  }
  bool is_special(std::int64_t id) const override { return id >= 256; }
  std::optional<std::int64_t> token_to_id(std::string_view token) const override {
    for (std::size_t i = 0; i < added_.size(); ++i) {
      if (added_[i] == token) return 256 + static_cast<std::int64_t>(i);
    }
    if (token.size() == 1) return static_cast<unsigned char>(token.front());
    return std::nullopt;
  }
  std::string id_to_token(std::int64_t id) const override { return std::string(token_bytes(id)); }
  std::int64_t size() const override { return 256 + static_cast<std::int64_t>(added_.size()); }
  std::vector<std::int64_t> add_tokens(std::span<const AddedToken> tokens) override {
    std::vector<std::int64_t> ids;
    for (const auto& token : tokens) {
      if (!token_to_id(token.content)) added_.push_back(token.content);
      ids.push_back(*token_to_id(token.content));
    }
    return ids;
  }

 private:
  static bool overlaps(std::span<const TextSpan> spans, std::size_t begin, std::size_t end) {
    for (const auto& span : spans) {
      if (begin < span.end && span.begin < end) return true;
    }
    return false;
  }

  std::vector<std::string> added_;
  std::string bytes_;
};

/// A ByteTokenizer with the markers of a format, which it lacks.
inline std::shared_ptr<ByteTokenizer> byte_tokenizer_with(const std::vector<std::string>& markers) {
  auto tokenizer = std::make_shared<ByteTokenizer>();
  for (const std::string& marker : markers) tokenizer->add_tokens(std::vector<AddedToken>{{.content = marker}});
  return tokenizer;
}

/// Those of Llama 3.
inline std::vector<std::string> llama3_markers() {
  return {"<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|end_of_text|>"};
}

}  // namespace shine::test
