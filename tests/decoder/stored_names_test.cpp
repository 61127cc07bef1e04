#include "decoder/stored_names.h"

#include <gtest/gtest.h>

namespace shine {
namespace {

TEST(StoredNames, AreThoseOfTheCausalLanguageModel) {
  for (const char* stored : {"model.layers.0.mlp.up_proj.weight", "layers.0.mlp.up_proj.weight",
                             "_orig_mod.model.layers.0.mlp.up_proj.weight", "module.layers.0.mlp.up_proj.weight"}) {
    EXPECT_EQ(parameter_name(stored), "model.layers.0.mlp.up_proj.weight");
  }
  EXPECT_EQ(parameter_name("embed_tokens.weight"), "model.embed_tokens.weight");
  EXPECT_EQ(parameter_name("norm.weight"), "model.norm.weight");
  EXPECT_EQ(parameter_name("lm_head.weight"), "lm_head.weight");
}

}  // namespace
}  // namespace shine
