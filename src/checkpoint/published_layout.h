#pragma once

#include <string>
#include <vector>

#include "io/torch_format/torch_pickle.h"
#include "lora/parameter_names.h"
#include "shine/tensor/raw_tensor.h"

namespace shine {

/// A file of the published layout and the name that its tensors have, or begin with, in this project.
struct PublishedName {
  const char* file;
  const char* name;
  bool required;
};

inline constexpr PublishedName kMemoryFile{"mem_tokens.pt", kMemoryName, true};
inline constexpr PublishedName kM2pFile{"metanetwork.pth", kM2pName, true};
inline constexpr PublishedName kMetaLoraFile{"metalora.pth", kMetaLoraName, true};
inline constexpr PublishedName kExtraMetaLoraFile{"ift_additional_metalora.pth", kExtraMetaLoraName, false};
inline constexpr PublishedName kNewTokenRowsFile{"new_token_rows.pt", kNewTokenRowsName, false};
inline constexpr PublishedName kPublishedNames[] = {kMemoryFile, kM2pFile, kMetaLoraFile, kExtraMetaLoraFile,
                                                    kNewTokenRowsFile};

struct PublishedFile {
  std::string name;
  PickleValue value;
};

/// The weights as the values that the published code saves, with its types and in its order of keys. Throws FormatError
/// at `where` for tensors without a place and for missing ones.
std::vector<PublishedFile> published_files(RawTensorDict weights, const std::string& where);

}  // namespace shine
