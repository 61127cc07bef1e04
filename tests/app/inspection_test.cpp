#include "app/inspect/inspection.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace shine::test {
namespace {

DeltaStatistics delta_of(std::size_t context, std::int64_t layer, Projection projection, double relative_norm) {
  return {context, layer, projection, 2.0, relative_norm, 1.5, {1.75, 0.5}};
}

Inspection small_inspection() {
  Inspection inspection;
  inspection.source = "runs/x";
  inspection.parts = {{"mem_tokens", 1, 8, 4.0, 2.0, 0}, {"a \"part\"", 2, 3, 3.0, 3.0, 1}};
  inspection.contexts = {{"note.txt", 12, 0}, {"long.txt", 20, 5}};
  for (const std::size_t context : {0U, 1U}) {
    for (const std::int64_t layer : {0, 1}) {
      for (const Projection p : kProjections) inspection.deltas.push_back(delta_of(context, layer, p, 0.1));
    }
  }
  inspection.diagnostics.emplace();
  inspection.diagnostics->delta = {0.25, 0.5};
  return inspection;
}

/// The text with one space for many.
std::string squeezed(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c != ' ' || result.empty() || result.back() != ' ') result += c;
  }
  return result;
}

TEST(InspectionMarkdown, HoldsAllTables) {
  const std::string text = squeezed(inspection_markdown(small_inspection()));
  for (const char* line :
       {"| `mem_tokens` | 1 | 8 | 4 | 1.414 | 2 | 0 |\n", "| all | 3 | 11 | 5 | 1.581 | 3 | 1 |\n",
        "## LoRA of context 1: note.txt, 12 tokens\n", "## LoRA of context 2: long.txt, 20 tokens (5 cut)\n",
        "| 1 | gate | 2 | 0.1 | 1.50 | 1.75 0.5 |\n", "| mean cosine between contexts | 0.25 | nan |\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "is not in\n" << text;
  }
}

TEST(InspectionMarkdown, TablesAreAligned) {
  const std::string text = inspection_markdown(small_inspection());
  EXPECT_NE(text.find("\n| part         | tensors |"), std::string::npos) << text;
  EXPECT_NE(text.find("\n|--------------|--------:|"), std::string::npos) << text;
  EXPECT_NE(text.find("\n| `mem_tokens` |       1 |"), std::string::npos) << text;
}

TEST(InspectionMarkdown, WithoutContextsIsTheTableOfParts) {
  Inspection inspection;
  inspection.parts = {{"mem_tokens", 1, 8, 4.0, 2.0, 0}};
  const std::string text = inspection_markdown(inspection);
  EXPECT_EQ(text.find("##"), std::string::npos) << text;
  EXPECT_EQ(heat_map({}), "");
}

TEST(InspectionMarkdown, ShowsEightSingularValues) {
  Inspection inspection;
  inspection.contexts = {{"a", 1, 0}};
  inspection.deltas = {delta_of(0, 0, Projection::q, 0.1)};
  inspection.deltas[0].singular_values.assign(9, 1.0);
  EXPECT_NE(inspection_markdown(inspection).find("| 1 1 1 1 1 1 1 1 .. |"), std::string::npos);
  EXPECT_NE(deltas_csv(inspection).find(",1,1,1,1,1,1,1,1,1\n"), std::string::npos);
}

TEST(HeatMap, HasBlocksOverTheLogarithm) {
  // Means over both contexts: q 0.001, 1 and k 0, infinite.
  const std::string map = heat_map({delta_of(0, 0, Projection::q, 0.0005), delta_of(1, 0, Projection::q, 0.0015),
                                    delta_of(0, 1, Projection::q, 0.5), delta_of(1, 1, Projection::q, 1.5),
                                    delta_of(0, 0, Projection::k, 0.0), delta_of(1, 0, Projection::k, 0.0),
                                    delta_of(0, 1, Projection::k, INFINITY), delta_of(1, 1, Projection::k, 1.0)});
  EXPECT_EQ(map,
            "        0\n"
            "q       ▁▁▁███\n"
            "k       ...???\n"
            "▁ 0.001 .. █ 1, logarithmic\n");
}

TEST(HeatMap, NumbersEveryFifthLayer) {
  std::vector<DeltaStatistics> deltas;
  for (std::int64_t layer = 0; layer < 28; ++layer) deltas.push_back(delta_of(0, layer, Projection::down, 0.5));
  const std::string map = heat_map(deltas);
  EXPECT_EQ(map.substr(0, map.find('\n')), "        0         5         10        15        20        25");
  EXPECT_NE(map.find("down    ████"), std::string::npos) << "one value alone is the highest";
}

TEST(InspectionFiles, CsvHasALineADelta) {
  const Inspection inspection = small_inspection();
  const std::string csv = deltas_csv(inspection);
  EXPECT_EQ(csv.find("context,layer,projection,norm,relative_norm,effective_rank,singular_value_1,singular_value_2\n"),
            0U);
  EXPECT_NE(csv.find("\n2,1,down,2,0.1,1.5,1.75,0.5\n"), std::string::npos) << csv;
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 1 + 28);
  EXPECT_NE(parts_csv(inspection).find("\n\"a \"\"part\"\"\",2,3,3,2.12132034,3,1\n"), std::string::npos)
      << parts_csv(inspection);
}

TEST(InspectionFiles, JsonHoldsEverything) {
  const nlohmann::json json = inspection_json(small_inspection());
  EXPECT_EQ(json.at("parts").size(), 2U);
  EXPECT_EQ(json.at("contexts")[1].at("tokens_cut"), 5);
  EXPECT_EQ(json.at("deltas").size(), 28U);
  EXPECT_EQ(json.at("deltas")[27].at("projection"), "down");
  EXPECT_EQ(json.at("deltas")[27].at("singular_values"), nlohmann::json({1.75, 0.5}));
  EXPECT_EQ(json.at("diagnostics").at("mean_cosine"), 0.25);
  EXPECT_FALSE(inspection_json(Inspection{}).contains("diagnostics"));
}

}  // namespace
}  // namespace shine::test
