#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace shine {

struct BpeTrainerOptions {
  std::int64_t vocabulary_size = 8192;  // all ids: 256 bytes, merges, special tokens
  std::int64_t min_frequency = 2;       // a pair seen less often is not merged
  std::vector<std::string> special_tokens = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
};

/// Learns a byte-level BPE of the structure of Qwen3's (NFC, the same split pattern) and writes it as a Hugging Face
/// tokenizer that both BpeTokenizer and `transformers` load.
///
/// The same texts give the same file whatever their order. At every step the most frequent pair is merged; among equals
/// the one with the smallest left id, then the smallest right id. Ids: the 256 bytes in byte-level order, the merges in
/// the order learned, the special tokens.
class BpeTrainer {
 public:
  /// Throws ConfigError where the size leaves no room for bytes and special tokens.
  explicit BpeTrainer(BpeTrainerOptions options);
  ~BpeTrainer();

  /// Counts the words of one text, as the tokenizer would cut it: invalid UTF-8 is replaced, special tokens are no
  /// words. Words over 256 bytes are left out.
  void add_text(std::string_view text);

  /// Learns the merges and writes `directory`/tokenizer.json and tokenizer_config.json (the folder is made).
  /// Returns the number of ids: less than vocabulary_size where the texts hold too few pairs.
  /// Throws IoError.
  std::int64_t write(const std::filesystem::path& directory) const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace shine
