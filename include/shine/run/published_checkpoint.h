#pragma once

#include <filesystem>

#include "shine/tensor/raw_tensor.h"

namespace shine {

/// The tensors of a folder in the published layout (mem_tokens.pt, metanetwork.pth, metalora.pth and, where present,
/// ift_additional_metalora.pth) under this project's names (SPEC section 8).
RawTensorDict read_published_checkpoint(const std::filesystem::path& folder);

}  // namespace shine
