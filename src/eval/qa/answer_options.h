#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "eval/qa/dialogue_prompts.h"
#include "shine/eval/generation.h"
#include "shine/hypernetwork/hypernetwork.h"

namespace shine {

/// What answers questions; all must outlive who uses it.
struct QaModels {
  const Decoder& decoder;
  const Hypernetwork* hypernetwork = nullptr;  ///< needed only by shine and shuffled
  const Tokenizer& tokenizer;
  std::vector<std::int64_t> end_tokens{};  ///< that end an answer beside the chat format's
};

/// How answers are decoded, and how long prompts may be.
struct AnswerOptions {
  GenerationOptions generation;  ///< its seed is left at 0: see batch_seed
  PromptLimits limits;
};

/// Those of a configuration; where decoding.stop is empty, `format` and the backbone tell what ends an answer. Throws
/// ConfigError for a stop token that the tokenizer lacks.
AnswerOptions answer_options(const EvaluationConfig& evaluation, QaForm form, const QaModels& models,
                             const ChatFormat& format);

/// Seed of a batch of contexts; of one of its rounds of questions, both from 0.
std::uint64_t batch_seed(const EvaluationConfig& evaluation, std::size_t batch);
std::uint64_t round_seed(std::uint64_t batch_seed, std::uint64_t round);

/// Ids that the decoder can read: rows of its embedding, new tokens' among them.
std::int64_t embedding_rows(const Decoder& decoder);

/// Why ids up to `highest` cannot be read; empty where they can. A text may hold the string of a token that was added
/// to the tokenizer and not to the model.
std::string token_without_row(const QaModels& models, std::int64_t highest);

}  // namespace shine
