#pragma once

#include <filesystem>

#include "text/bpe/bpe_model.h"
#include "text/bpe/pre_tokenizer.h"
#include "text/tokens_beside.h"
#include "text/vocabulary_tokenizer.h"

namespace shine {

/// Byte-level BPE from a Hugging Face tokenizer.json (Qwen, Llama 3, SmolLM2, GPT-2). Ids equal those of the Python
/// package `tokenizers` 0.22 on any text, without the tokens that a post-processor puts around it.
///
/// Supported: normalizer null or NFC; pre_tokenizer Sequence / Split / Digits / ByteLevel, ByteLevel last; model BPE
/// (merges as pairs or as "a b", ignore_merges, unk_token); decoder ByteLevel. Any other part is an UnsupportedError
/// naming it. Saved padding and truncation are not applied.
///
/// In a folder the files beside tokenizer.json add tokens and change flags as they do for AutoTokenizer of
/// `transformers` 4.57 (tokens_beside.h), and vocab.json with merges.txt stands in for a missing tokenizer.json
/// (vocabulary_files.h).
///
/// NFC (utf8proc) is restricted to Unicode 9.0, the version in `tokenizers` 0.22. Character classes (PCRE2 10.42) are
/// those of Unicode 14.0, where `tokenizers` has newer ones: around code points assigned after 14.0 ids may differ.
///
/// With the split patterns of Qwen, Llama 3, GPT-2 and SmolLM2 encoding takes O(n log n) for a text of n bytes,
/// whatever it holds; any other pattern is run by PCRE2, within its match limit. The tokens of words of up to 24 bytes
/// are remembered in a table of 2 MiB that all threads share.
class BpeTokenizer final : public VocabularyTokenizer {
 public:
  /// @param path  a tokenizer.json, which is then the only file read, or a folder
  explicit BpeTokenizer(const std::filesystem::path& path);

 private:
  struct Files;
  explicit BpeTokenizer(Files&& files);

  void encode_part(std::string_view part, std::size_t start, const TextSource& source, Encoding& result) const override;
  std::optional<std::int32_t> find_in_vocabulary(std::string_view token) const override;
  void set_added(std::int32_t id, const AddedToken& token) override;

  void fill_names();
  void add_beside(const TokensBeside& beside);
  void check_place(const AddedToken& token) const;
  template <class ToRepaired>
  void encode_words(std::string_view text, const TextSource& source, ToRepaired to_repaired, Encoding& result) const;

  bool nfc_;
  PreTokenizer pre_tokenizer_;
  BpeModel model_;
  std::int64_t highest_added_ = -1;
};

}  // namespace shine
