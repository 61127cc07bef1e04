#pragma once

#include <filesystem>

#include "io/gguf/gguf_value.h"
#include "shine/tensor/raw_tensor.h"

namespace shine {

/// Writes a GGUF file, version 3, under a temporary name, syncs it to the disk and renames it. Tensors lie in the order
/// given; the format's order of sizes is the shape turned round. Throws FormatError (a duplicate or too long name, more
/// than four dimensions, bytes that do not match the shape, an alignment in the metadata), UnsupportedError (another
/// type than float32, float16 and bfloat16) and IoError; nothing is left behind then.
void write_gguf(const std::filesystem::path& path, const NamedRawTensors& tensors, const GgufMetadata& metadata);

}  // namespace shine
