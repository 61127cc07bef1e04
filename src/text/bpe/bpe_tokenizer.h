#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shine/text/tokenizer.h"

namespace shine {

/// Byte-level BPE from a Hugging Face tokenizer.json (Qwen, Llama 3, SmolLM2, GPT-2). Ids equal those of the Python
/// package `tokenizers` 0.22 on any text.
///
/// Supported: normalizer null or NFC; pre_tokenizer Sequence / Split / Digits / ByteLevel, ByteLevel last; model BPE
/// (merges as pairs or as "a b", ignore_merges, unk_token); decoder ByteLevel; post_processor null, ByteLevel, or a
/// TemplateProcessing that adds nothing. Any other part is an UnsupportedError naming it.
///
/// NFC (utf8proc) is restricted to Unicode 9.0, the version in `tokenizers` 0.22. Character classes (PCRE2 10.42) are
/// those of Unicode 14.0, where `tokenizers` has newer ones: around code points assigned after 14.0 ids may differ.
///
/// With the split patterns of Qwen, Llama 3, GPT-2 and SmolLM2 encoding takes O(n log n) for a text of n bytes,
/// whatever it holds; any other pattern is run by PCRE2, within its match limit. The tokens of words of up to 24 bytes
/// are remembered in a table of 2 MiB that all threads share.
class BpeTokenizer final : public Tokenizer {
 public:
  /// @param path  a tokenizer.json or a folder that holds one
  explicit BpeTokenizer(const std::filesystem::path& path);
  ~BpeTokenizer() override;

  Encoding encode_with_escapes(std::string_view text, std::span<const TextSpan> escaped) const override;
  std::string_view token_bytes(std::int64_t id) const override;
  bool is_special(std::int64_t id) const override;
  std::optional<std::int64_t> token_to_id(std::string_view token) const override;
  std::string id_to_token(std::int64_t id) const override;
  std::int64_t size() const override;
  std::vector<std::int64_t> add_tokens(std::span<const AddedToken> tokens) override;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace shine
