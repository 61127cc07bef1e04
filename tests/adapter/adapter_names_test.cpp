#include "adapter/adapter_names.h"

#include <gtest/gtest.h>

#include "shine/common/str.h"

namespace shine {
namespace {

TEST(AdapterNames, EveryNameLeadsBackToItsMap) {
  for (const Projection projection : kProjections) {
    const auto ours = hugging_face_map(str("12.", hugging_face_name(projection)));
    const auto gguf = gguf_map(str("12.", gguf_name(projection)));
    ASSERT_TRUE(ours && gguf) << name_of(projection);
    EXPECT_EQ(ours->layer, 12U);
    EXPECT_EQ(ours->projection, projection);
    EXPECT_EQ(gguf->layer, 12U);
    EXPECT_EQ(gguf->projection, projection);
  }
  EXPECT_EQ(module_name(3, Projection::o), "model.layers.3.self_attn.o_proj");
  EXPECT_EQ(module_name(0, Projection::down), "model.layers.0.mlp.down_proj");
  EXPECT_EQ(gguf_name(Projection::o), "attn_output");
  EXPECT_EQ(gguf_name(Projection::gate), "ffn_gate");
}

TEST(AdapterNames, OtherNamesHaveNoMap) {
  for (const char* name : {"", ".", "0", "0.", ".self_attn.q_proj", "-1.self_attn.q_proj", "00.self_attn.q_proj",
                           "+1.self_attn.q_proj", "0x1.self_attn.q_proj", "0.self_attn.q_projx", "0.mlp.q_proj",
                           "99999999999999999999.self_attn.q_proj", "0.attn_q"}) {
    EXPECT_FALSE(hugging_face_map(name)) << name;
  }
  EXPECT_FALSE(gguf_map("0.self_attn.q_proj"));
  EXPECT_EQ(layer_number("0"), 0U);
}

}  // namespace
}  // namespace shine
