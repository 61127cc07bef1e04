#pragma once

namespace shine {

/// How the scores of an attention become its weights. A field is added here with a default that changes nothing, set
/// in Attention::forward and used in attention_reference: where it is set, the reference runs in training, evaluation
/// and decoding, until a faster form reads it (fused_attention_knows).
struct AttentionOptions {
  double scale = 1.0;  ///< of q k^T

  bool operator==(const AttentionOptions&) const = default;
};

}  // namespace shine
