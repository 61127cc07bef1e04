#include "eval/reconstruction/perplexity_report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "shine/common/error.h"
#include "support/paths.h"

namespace shine {
namespace {

LossRecord loss_record(Method method, std::int64_t text, double perplexity) {
  LossRecord record;
  record.length = 100;
  record.method = method;
  record.text = text;
  record.tokens = 10 + text;
  record.loss = std::log(perplexity);
  return record;
}

std::vector<LossRecord> small_losses() {
  std::vector<LossRecord> records;
  for (std::int64_t i = 0; i < 5; ++i) {
    records.push_back(loss_record(Method::shine, i, static_cast<double>(i + 1)));
    records.push_back(loss_record(Method::naive, i, 8.0));
  }
  return records;
}

TEST(PerplexityReport, StatisticsAreOverTexts) {
  const std::vector<PerplexityRow> rows = perplexity_rows(small_losses());
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].method, Method::naive);
  const PerplexityRow& shine = rows[1];
  EXPECT_EQ(shine.method, Method::shine);
  EXPECT_EQ(shine.length, 100);
  EXPECT_EQ(shine.texts, 5);
  EXPECT_EQ(shine.tokens, 60);
  EXPECT_NEAR(shine.perplexity.mean, 3.0, 1e-12);  // 1 2 3 4 5
  EXPECT_NEAR(shine.perplexity.median, 3.0, 1e-12);
  EXPECT_NEAR(shine.perplexity.p10, 1.4, 1e-12);
  EXPECT_NEAR(shine.perplexity.p90, 4.6, 1e-12);
  EXPECT_NEAR(shine.loss.mean, std::log(120.0) / 5, 1e-12);
  EXPECT_NEAR(shine.loss.median, std::log(3.0), 1e-12);
}

TEST(PerplexityReport, LossesThatAreNotFiniteAreCounted) {
  std::vector<LossRecord> records = small_losses();
  records[0].loss = std::numeric_limits<double>::quiet_NaN();
  const std::vector<PerplexityRow> rows = perplexity_rows(records);
  EXPECT_EQ(rows[1].not_finite, 1);
  EXPECT_EQ(rows[1].texts, 4);
  EXPECT_NEAR(rows[1].perplexity.mean, 3.5, 1e-12);
  EXPECT_NE(perplexity_markdown(rows, {}).find("**Warning:** 1 losses are not finite"), std::string::npos);
}

TEST(PerplexityReport, TheOrderOfTheRecordsDoesNotMatter) {
  std::vector<LossRecord> records = small_losses();
  const std::string before = perplexity_json(perplexity_rows(records), {});
  std::reverse(records.begin(), records.end());
  EXPECT_EQ(perplexity_json(perplexity_rows(records), {}), before);
}

TEST(PerplexityReport, TablesHaveARowALengthAndAColumnAMethod) {
  std::vector<LossRecord> records = small_losses();
  LossRecord longer = loss_record(Method::shine, 0, 2.0);
  longer.length = 200;
  records.push_back(longer);
  const std::vector<PerplexityRow> rows = perplexity_rows(records);
  EXPECT_EQ(perplexity_markdown(rows, {"tiny", "notes", "", 0}),
            "tiny on notes; median perplexity of a text [P10, P90]\n\nreconstruction\n\n"
            "| tokens | texts | naive | shine |\n|---:|---:|---:|---:|\n"
            "| 100 | 5 | 8 [8, 8] | 3 [1.4, 4.6] |\n"
            "| 200 | 1 | - | 2 [2, 2] |\n");
  EXPECT_EQ(perplexity_csv(rows).substr(0, 147),
            "length,task,method,texts,not_finite,tokens,loss_mean,loss_median,loss_p10,loss_p90,perplexity_mean,"
            "perplexity_median,perplexity_p10,perplexity_p90\n");
  EXPECT_NE(perplexity_csv(rows).find("200,reconstruction,shine,1,0,10,0.693147,0.693147,0.693147,0.693147,2,2,2,2\n"),
            std::string::npos);
  const auto summary = nlohmann::json::parse(perplexity_json(rows, {"tiny", "notes", "c", 7}));
  EXPECT_EQ(summary.at("test"), "pretrain");
  EXPECT_EQ(summary.at("rows").at(2).at("length"), 200);
  EXPECT_EQ(summary.at("rows").at(0).at("method"), "naive");
}

TEST(PerplexityReport, RecordsComeBackAsTheyWere) {
  const test::TemporaryFolder folder;
  const std::filesystem::path file = folder.path() / "losses.jsonl";
  LossRecord bad = loss_record(Method::shuffled, 7, 2.0);
  bad.task = PretrainTask::completion;
  bad.loss = std::numeric_limits<double>::quiet_NaN();
  const LossRecord good = loss_record(Method::shine, 3, 1.5);
  EXPECT_EQ(record_json(bad),
            R"({"kind":"loss","length":100,"task":"completion","method":"shuffled","text":7,"tokens":17,"loss":null})");
  test::write_bytes(file, record_json(bad) + "\n" + record_json(good) + "\n{\"kind\":\"lo");
  const std::vector<LossRecord> records = read_losses(file);
  ASSERT_EQ(records.size(), 2U);
  EXPECT_EQ(record_json(records[0]), record_json(bad));
  EXPECT_EQ(record_json(records[1]), record_json(good));
  const std::vector<LossRecord> parsed = parse_losses(record_json(bad) + "\n" + record_json(good) + "\n", "unit 1");
  ASSERT_EQ(parsed.size(), 2U);
  EXPECT_EQ(record_json(parsed[0]), record_json(bad));
  EXPECT_EQ(record_json(parsed[1]), record_json(good));
  EXPECT_THROW(parse_losses("{\"kind\":\"loss\"}", "unit 1"), FormatError);
  test::write_bytes(file, "{\"kind\":\"loss\",\"length\":1,\"task\":\"other\"}\n");
  EXPECT_THROW(read_losses(file), FormatError);
  test::write_bytes(file, "{\"kind\":\"answer\"}\n");
  EXPECT_THROW(read_losses(file), FormatError);
}

}  // namespace
}  // namespace shine
