#pragma once

#include <string>

namespace shine {

/// Names that the hypernetwork's parts have in checkpoints.
inline constexpr const char* kMemoryName = "mem_tokens";
inline constexpr const char* kM2pName = "metanetwork";
inline constexpr const char* kMetaLoraName = "metalora";
inline constexpr const char* kExtraMetaLoraName = "extra_metalora";
inline constexpr const char* kNewTokenRowsName = "new_token_rows";

/// "metanetwork.", ..: what the names of a part's tensors begin with.
inline std::string prefix_of(const char* part) {
  return std::string(part) + ".";
}

}  // namespace shine
