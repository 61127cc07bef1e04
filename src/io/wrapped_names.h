#pragma once

#include <string>
#include <string_view>

namespace shine {

/// A parameter's name without what wrappers of PyTorch put into it: `module` (DistributedDataParallel), `_orig_mod`
/// (torch.compile), `_fsdp_wrapped_module` and `_checkpoint_wrapped_module`, anywhere among its parts.
std::string without_wrappers(std::string_view name);

}  // namespace shine
