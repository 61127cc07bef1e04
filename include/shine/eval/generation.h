#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "shine/common/api.h"
#include "shine/config/evaluation_config.h"
#include "shine/decoder/decoder.h"
#include "shine/decoder/kv_cache.h"
#include "shine/lora/lora_tree.h"

namespace shine {

class DecodingStep;

struct GenerationOptions {
  DecodingConfig decoding;             ///< max_new_tokens above 0; its `stop` is not read here
  std::vector<std::int64_t> stop_ids;  ///< tokens that end a text
  std::uint64_t seed = 0;              ///< of sampling; a row's draws depend on (seed, row, place) alone
};

/// What was generated after a prompt.
struct GeneratedText {
  std::vector<std::int64_t> ids;  ///< without the stop token
  bool stopped = false;           ///< by a stop token; else by max_new_tokens, the model's positions or the observer
};

/// Told of every token as it is written, stop tokens excepted: its row and id. Where it returns false the row ends with
/// that token.
using TokenObserver = std::function<bool(std::size_t row, std::int64_t id)>;

/// Decoding of a batch of rows, with the KV cache reused between calls: of a prompt that begins with what its row has
/// seen, only the new tokens are computed. Knows no trainer and no tokenizer. Only ids in the decoder's softmax are
/// generated.
class SHINE_API GenerationSession {
 public:
  using Rows = std::vector<std::vector<std::int64_t>>;

  /// @param decoder  must outlive the session
  /// @param lora     null, or B_l adapters shared by consecutive rows; the session keeps their tensors. Throws
  ///                 ShapeError unless B_l divides `rows`.
  GenerationSession(const Decoder& decoder, const LoraTree* lora, std::int64_t rows);
  ~GenerationSession();

  /// Continues every prompt. Row i's cache is reused for the longest prefix that prompts[i] shares with what the row
  /// has seen. An empty prompt skips its row (an empty answer); with decoding.cache off the cache is left alone. Rows
  /// that have ended cost nothing more, except with decoding.cuda_graph, whose steps always run all rows. Throws
  /// ConfigError for a prompt that leaves no position for an answer, ShapeError unless there is one prompt per row,
  /// Error for logits that are not finite, and what the observer throws; the session can be used again after each.
  /// @param observer  may be empty
  std::vector<GeneratedText> generate(const Rows& prompts, const GenerationOptions& options,
                                      const TokenObserver& observer = {});

 private:
  void check(const Rows& prompts, const GenerationOptions& options) const;
  void keep_prefix(std::size_t row, const std::vector<std::int64_t>& prompt);
  at::Tensor step_logits(const Rows& ids, const std::vector<bool>& active, const std::vector<std::size_t>& rows);
  at::Tensor last_hidden(const Rows& ids, const std::vector<bool>& active, bool use_cache);

  const Decoder& decoder_;
  LoraTree lora_;  ///< in the decoder's dtype; empty: none
  KvCache cache_;
  std::unique_ptr<DecodingStep> step_;
  Rows seen_;  ///< per row, the ids whose keys and values are in the cache
};

}  // namespace shine
