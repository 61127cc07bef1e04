#include "io/wrapped_names.h"

#include <gtest/gtest.h>

namespace shine {
namespace {

TEST(WrappedNames, LoseWhatWrappersPutIn) {
  for (const char* stored : {"layers.0.norm1.weight", "module.layers.0.norm1.weight", "_orig_mod.layers.0.norm1.weight",
                             "module._orig_mod.layers.0.norm1.weight", "_orig_mod.module.layers.0.norm1.weight",
                             "layers.0._orig_mod.norm1.weight", "layers.0._checkpoint_wrapped_module.norm1.weight",
                             "_fsdp_wrapped_module.layers.0._fsdp_wrapped_module.norm1.weight"}) {
    EXPECT_EQ(without_wrappers(stored), "layers.0.norm1.weight");
  }
  for (const char* name : {"", "module", "submodule.weight", "modules.0.weight", "a.module_", "."}) {
    EXPECT_EQ(without_wrappers(name), name);
  }
}

}  // namespace
}  // namespace shine
