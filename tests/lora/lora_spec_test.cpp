#include "shine/lora/lora_spec.h"

#include <gtest/gtest.h>

namespace shine {
namespace {

struct Backbone {
  const char* name;
  std::int64_t hidden, heads, kv_heads, head_dim, intermediate;
};

LoraSpec spec_of(const Backbone& m) {
  const std::int64_t q = m.heads * m.head_dim, kv = m.kv_heads * m.head_dim;
  LoraSpec spec;
  spec.layers = 2;
  spec.projections = {{{m.hidden, q},
                       {m.hidden, kv},
                       {m.hidden, kv},
                       {q, m.hidden},
                       {m.hidden, m.intermediate},
                       {m.hidden, m.intermediate},
                       {m.intermediate, m.hidden}}};
  return spec;
}

const Backbone kQwen3_8b{"Qwen3-8B", 4096, 32, 8, 128, 12288}, kQwen3_4b{"Qwen3-4B", 2560, 32, 8, 128, 9728},
    kQwen3_06b{"Qwen3-0.6B", 1024, 16, 8, 128, 3072}, kSmolLm2{"SmolLM2-135M", 576, 9, 3, 64, 1536};

TEST(LoraSpec, MemoryTokensOfPublishedModels) {
  const struct {
    Backbone backbone;
    std::int64_t rank, tokens;
  } cases[] = {{kQwen3_8b, 8, 148},
               {kQwen3_06b, 8, 176},
               {kSmolLm2, 3, 53},
               {kSmolLm2, 6, 106},
               {kQwen3_4b, 8, 180}};  // 179.2 blocks of H: rounded up
  for (const auto& c : cases) {
    EXPECT_EQ(spec_of(c.backbone).memory_tokens(c.rank, c.backbone.hidden), c.tokens)
        << c.backbone.name << " " << c.rank;
  }
}

TEST(LoraSpec, CountsValuesWithBiases) {
  LoraSpec spec = spec_of({"", 4, 3, 1, 2, 5});
  const std::int64_t without = spec.numel_per_layer(3);
  EXPECT_EQ(without, 3 * ((4 + 6) + 2 * (4 + 2) + (6 + 4) + 3 * (4 + 5)));
  spec.projections[0].has_bias = spec.projections[1].has_bias = true;
  EXPECT_EQ(spec.numel_per_layer(3), without + 6 + 2);
}

TEST(LoraSpec, MemoryTokensAreExactWhereTheWidthDivides) {
  LoraSpec spec;
  spec.layers = 1;
  spec.projections[0] = {3, 5};
  EXPECT_EQ(spec.memory_tokens(1, 8), 1);
  EXPECT_EQ(spec.memory_tokens(1, 7), 2);
  EXPECT_EQ(spec.memory_tokens(1, 9), 1);
}

TEST(Projection, NamesOfPublishedCheckpoints) {
  std::vector<std::string> names;
  for (const Projection p : kProjections) names.push_back(dotted_name(p));
  EXPECT_EQ(names, (std::vector<std::string>{"attention.q", "attention.k", "attention.v", "attention.o", "mlp.gate",
                                             "mlp.up", "mlp.down"}));
  EXPECT_EQ(name_of(Projection::up), "up");
}

}  // namespace
}  // namespace shine
