#include "shine/run/published_checkpoint.h"

#include "shine/io/torch_pickle.h"

namespace shine {

RawTensorDict read_published_checkpoint(const std::filesystem::path& folder) {
  RawTensorDict tensors;
  const auto add = [&](const std::string& file, const std::string& name) {
    const std::string where = (folder / file).string();
    for (auto& [inner, tensor] : flatten_tensors(read_torch_file(where), where)) {
      tensors.emplace(inner.empty() ? name : name + "." + inner, std::move(tensor));
    }
  };
  add("mem_tokens.pt", "mem_tokens");
  add("metanetwork.pth", "metanetwork");
  add("metalora.pth", "metalora");
  if (std::filesystem::exists(folder / "ift_additional_metalora.pth")) {
    add("ift_additional_metalora.pth", "extra_metalora");
  }
  return tensors;
}

}  // namespace shine
