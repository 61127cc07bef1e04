#include "train/diagnostics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "checkpoint/tensorboard_file.h"

namespace shine::test {
namespace {

LoraDiagnostics diagnostics_of(double cosine, double down_norm = 0.1) {
  LoraDiagnostics diagnostics;
  diagnostics.contexts = 16;
  diagnostics.delta = {cosine, 0.5};
  diagnostics.vector = {0.25, 0.125};
  diagnostics.relative_norm.fill(0.01);
  diagnostics.relative_norm.back() = down_norm;
  diagnostics.max_relative_norm.fill(0.02);
  return diagnostics;
}

TEST(DiagnosticsEvent, GivesACurveForEveryMeasure) {
  const nlohmann::json event = diagnostics_event(7, diagnostics_of(0.75));
  EXPECT_EQ(event.at("kind"), "diagnostics");
  EXPECT_EQ(event.at("step"), 7);
  EXPECT_EQ(event.at("relative_norm").size(), 7U);
  EXPECT_EQ(event.at("relative_norm").at("down"), 0.1);
  std::vector<std::string> tags;
  for (const Scalar& scalar : scalars_of(event)) tags.push_back(scalar.tag);
  EXPECT_EQ(tags.size(), 5U + 14U);
  for (const char* tag : {"diagnostics/mean_cosine", "diagnostics/mean_share", "diagnostics/relative_norm/q",
                          "diagnostics/max_relative_norm/down"}) {
    EXPECT_NE(std::find(tags.begin(), tags.end(), tag), tags.end()) << tag;
  }
}

TEST(DiagnosticsEvent, AMeasureThatIsNotFiniteIsNull) {
  const std::string line = diagnostics_event(0, diagnostics_of(std::nan(""))).dump();
  EXPECT_NE(line.find("\"mean_cosine\":null"), std::string::npos) << line;
}

TEST(DiagnosticsLine, NamesTheLargestProjection) {
  const std::string line = diagnostics_line(diagnostics_of(0.75));
  EXPECT_EQ(line, "LoRAs of 16 contexts: cosine 0.7500  share of their mean 0.5000  |A B| / |W| up to 1.00e-01 (down)");
}

TEST(LoraWatch, WarnsOnceForEachCollapse) {
  LoraWatch watch(/*warmup_steps=*/10);
  EXPECT_TRUE(watch.warnings(0, diagnostics_of(0.999)).empty()) << "before the first step";
  EXPECT_TRUE(watch.warnings(10, diagnostics_of(0.999)).empty()) << "still warming up";
  EXPECT_TRUE(watch.warnings(20, diagnostics_of(0.98)).empty());
  const std::vector<std::string> warnings = watch.warnings(30, diagnostics_of(0.995));
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_NE(warnings[0].find("step 30: the LoRAs generated for 16 different contexts are nearly the same one"),
            std::string::npos);
  EXPECT_NE(warnings[0].find("nothing is stopped"), std::string::npos);
  EXPECT_TRUE(watch.warnings(40, diagnostics_of(0.996)).empty()) << "said already";
  EXPECT_TRUE(watch.warnings(50, diagnostics_of(0.9)).empty());
  EXPECT_EQ(watch.warnings(60, diagnostics_of(0.995)).size(), 1U) << "a second collapse";
  EXPECT_TRUE(watch.warnings(70, diagnostics_of(std::nan(""))).empty());
}

TEST(LoraWatch, WarnsOfLorasAsLargeAsTheWeights) {
  LoraWatch watch(/*warmup_steps=*/3);
  EXPECT_TRUE(watch.warnings(0, diagnostics_of(0.5, 1.5)).empty()) << "new weights";
  EXPECT_TRUE(watch.warnings(4, diagnostics_of(0.5, 0.9)).empty());
  const std::vector<std::string> warnings = watch.warnings(5, diagnostics_of(0.5, 1.5));
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_NE(warnings[0].find("|A B| / |W| 1.5 for down, above 1 "), std::string::npos) << warnings[0];
  EXPECT_TRUE(watch.warnings(6, diagnostics_of(0.5, 1.6)).empty());
}

}  // namespace
}  // namespace shine::test
