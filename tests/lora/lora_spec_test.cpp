#include "shine/lora/lora_spec.h"

#include <gtest/gtest.h>

#include <sstream>

#include "shine/common/str.h"
#include "support/pages.h"

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
    kQwen3_17b{"Qwen3-1.7B", 2048, 16, 8, 128, 6144}, kQwen3_06b{"Qwen3-0.6B", 1024, 16, 8, 128, 3072},
    kSmolLm2{"SmolLM2-135M", 576, 9, 3, 64, 1536};

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

/// A row `| name | value | value ..` of a table of configs/README.md.
std::vector<double> row_of_glossary(const std::string& name) {
  std::vector<double> values;
  for (const std::string& line : test::split_lines(test::read_bytes(test::source_dir() / "configs" / "README.md"))) {
    if (!line.starts_with("| " + name + " | ")) continue;
    std::istringstream cells(line.substr(name.size() + 5));
    for (std::string cell; std::getline(cells, cell, '|');) values.push_back(std::stod(cell));
  }
  return values;
}

TEST(LoraSpec, MemoryTokensAreThoseOfTheGlossary) {
  const std::vector<double> ranks = row_of_glossary("rank r");
  ASSERT_EQ(ranks.size(), 6U);
  for (const Backbone& backbone : {kSmolLm2, kQwen3_06b, kQwen3_17b, kQwen3_8b}) {
    std::vector<double> tokens;
    for (const double rank : ranks) {
      const auto r = static_cast<std::int64_t>(rank);
      tokens.push_back(static_cast<double>(spec_of(backbone).memory_tokens(r, backbone.hidden)));
    }
    EXPECT_EQ(row_of_glossary(str(backbone.name, ": memory tokens")), tokens) << backbone.name;
  }
  const std::vector<double> millions = row_of_glossary("Qwen3-8B: numbers in the LoRA, millions");
  ASSERT_EQ(millions.size(), ranks.size());
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    const std::int64_t numbers = 36 * spec_of(kQwen3_8b).numel_per_layer(static_cast<std::int64_t>(ranks[i]));
    EXPECT_NEAR(millions[i], static_cast<double>(numbers) / 1e6, 0.05) << ranks[i];
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
