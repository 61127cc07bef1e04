#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace shine {

enum class SentencePieceModelKind { unigram, bpe };

struct SentencePieceTrainerOptions {
  SentencePieceModelKind kind = SentencePieceModelKind::unigram;
  std::int64_t vocabulary_size = 8192;  // all ids: pieces, byte pieces, special tokens
  bool byte_fallback = false;           // characters without a piece are written in bytes
  double character_coverage = 1.0;      // share of the texts' characters that get a piece
  std::string normalization = "nmt_nfkc";
  std::vector<std::string> words;  // pieces each, together with the space before them
  std::vector<std::string> special_tokens = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
};

/// Trains a tokenizer by the sentencepiece library and writes it as a folder that SentencePieceTokenizer and
/// `transformers` (LlamaTokenizer) load: id 0 is unknown, the special tokens come behind the pieces. The same texts in
/// the same order give the same file.
///
/// The library must not share a process with LibTorch: both define FLAGS_minloglevel, with different sizes. So this is
/// no part of libshine. It is run in a process of its own, because it ends the one it runs in where it can do nothing
/// with the texts.
class SentencePieceTrainer {
 public:
  /// Throws ConfigError for options out of range.
  explicit SentencePieceTrainer(SentencePieceTrainerOptions options);

  /// The lines of a text are learned from one by one. Invalid UTF-8 is replaced.
  void add_text(std::string_view text);

  /// Trains and writes `directory`/tokenizer.model and tokenizer_config.json (the folder is made). Returns the number
  /// of ids, less than vocabulary_size where a unigram model finds too few pieces. Throws IoError, ConfigError with the
  /// library's words where it cannot train.
  std::int64_t write(const std::filesystem::path& directory) const;

 private:
  SentencePieceTrainerOptions options_;
  std::vector<std::string> lines_;
};

}  // namespace shine
