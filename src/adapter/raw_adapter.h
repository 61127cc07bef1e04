#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "shine/adapter/adapter_metadata.h"
#include "shine/decoder/decoder_config.h"
#include "shine/tensor/raw_tensor.h"

namespace shine {

/// How a file holds A and B: `ours` as in the paper, A (in, r) and B (r, out); `transposed` as PEFT and llama.cpp do,
/// A (r, in) and B (out, r).
enum class PairLayout { ours, transposed };

/// One projection's LoRA as a file holds it: y += scale * (x A) B + C.
struct RawPair {
  RawTensor a, b;
  PairLayout layout = PairLayout::ours;
  std::int64_t rank = 0;
  double scale = 1.0;
  std::optional<RawTensor> c;  ///< (out); in this project's own format alone
};

/// An adapter file or folder, checked against the decoder it is for and not converted yet.
struct RawAdapter {
  AdapterFormat format = AdapterFormat::peft;
  AdapterMetadata metadata;
  std::string where;                                          ///< the file, for messages
  std::vector<std::array<std::optional<RawPair>, 7>> layers;  ///< by Projection; nothing: the map is not adapted
};

/// Reads what `path` holds: a PEFT or MLX folder, this project's own folder, or a GGUF file. The tensors may lie in
/// mapped files. Throws IoError (nothing there), FormatError (a broken file, a missing half of a pair, a shape that
/// does not fit the decoder, a number that is not finite), UnsupportedError (DoRA, modules_to_save, a key that changes
/// the result and is not known, another architecture than the decoder's), each naming file and key.
RawAdapter read_raw_adapter(const std::filesystem::path& path, const DecoderConfig& config);

}  // namespace shine
