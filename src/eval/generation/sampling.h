#pragma once

#include <cstdint>
#include <span>

#include "shine/config/evaluation_config.h"

namespace shine {

/// Applies what `decoding` asks for, in transformers' order: the repetition penalty (once for each id in `seen`), then,
/// unless decoding is greedy, temperature, top-k and top-p. Tokens that are cut become -infinity; ties with the k-th
/// stay, as does always the likeliest token.
/// @param logits  (V)
/// @param seen    the prompt and what was generated after it; ids without a logit are left out
void process_logits(std::span<float> logits, std::span<const std::int64_t> seen, const DecodingConfig& decoding);

/// The likeliest token, the first of equal ones.
std::int64_t likeliest_token(std::span<const float> logits);

/// The token at `where` in [0, 1) of the cumulative softmax.
std::int64_t draw_token(std::span<const float> logits, double where);

}  // namespace shine
