#pragma once

#include <cstdint>
#include <string>

#include "shine/tensor/raw_tensor.h"

namespace shine {

/// How llama.cpp holds the decoders of a model_type.
struct GgufArchitecture {
  std::string name;           ///< "llama" for mistral too
  bool rotary_pairs = false;  ///< q and k: the two numbers of a rotation side by side, not half a head apart
};

/// Throws UnsupportedError for a model_type that llama.cpp has no architecture for.
GgufArchitecture gguf_architecture(const std::string& model_type);

/// Rows of B (out, r) of q or k, out = heads * head_dim: head by head, (2, head_dim / 2) rows to (head_dim / 2, 2), and
/// back. Throws UnsupportedError for an odd head_dim.
RawTensor to_rotary_pairs(const RawTensor& b, std::int64_t heads);
RawTensor from_rotary_pairs(const RawTensor& b, std::int64_t heads);

}  // namespace shine
