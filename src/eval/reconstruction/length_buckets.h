#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/pretrain/pretrain_dataset.h"
#include "shine/config/evaluation_config.h"
#include "shine/data/sample.h"
#include "shine/text/tokenizer.h"

namespace shine {

/// The lengths of the buckets, in tokens. Throws ConfigError where last is below first.
std::vector<std::int64_t> bucket_lengths(const BucketConfig& config);

/// Texts cut to the lengths of buckets: a bucket of length l has every text of at least l tokens, cut behind its l-th
/// token (a character that this token shares with the next one stays whole), so that all of a bucket are equally long
/// and longer buckets have the same texts, fewer of them.
class BucketTexts {
 public:
  /// Tokenises all texts.
  /// @param threads  0: as many as cores
  BucketTexts(std::vector<std::string> texts, const Tokenizer& tokenizer, std::vector<std::int64_t> lengths,
              SpecialTokens treatment, int threads = 0);

  const std::vector<std::int64_t>& lengths() const { return lengths_; }

  /// Numbers of the texts that are long enough for a bucket, in an order drawn by seed, which is the same for all
  /// buckets; at most `limit` of them, 0 = all.
  std::vector<std::size_t> choose(std::size_t bucket, std::int64_t limit, std::uint64_t seed) const;

  /// The text cut to the bucket's length; it must be long enough.
  std::string cut(std::size_t text, std::size_t bucket) const;

 private:
  std::vector<std::string> texts_;
  std::vector<std::int64_t> lengths_;
  std::vector<std::vector<std::size_t>> ends_;  ///< per text, the byte at which each bucket that it reaches cuts it
};

/// What of the pretraining tasks is asked.
enum class PretrainTask { reconstruction, completion };
constexpr std::array<std::string_view, 2> config_names(PretrainTask) {
  return {"reconstruction", "completion"};
}

/// The text as a sample of stage pretrain, alone in its group, with labels on the text's tokens only: without what
/// ends an answer (<|im_end|> and a newline). What completion drops is drawn from the options' seed and `number`.
/// Throws ConfigError where the conversation has no room for the template.
Sample bucket_sample(const std::string& text, std::size_t number, PretrainTask task,
                     const std::shared_ptr<const Tokenizer>& tokenizer, PretrainOptions options);

}  // namespace shine
