#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "eval/reconstruction/length_buckets.h"
#include "eval/report/report.h"
#include "shine/config/evaluation_config.h"

namespace shine {

/// The loss of one text: a line {"kind": "loss", ..} of losses.jsonl.
struct LossRecord {
  std::int64_t length = 0;  ///< of the bucket, tokens
  PretrainTask task = PretrainTask::reconstruction;
  Method method = Method::naive;
  std::int64_t text = 0;    ///< its number in the data, from 0
  std::int64_t tokens = 0;  ///< that the loss is the mean over
  double loss = 0.0;        ///< NaN where it was not finite
};

std::string record_json(const LossRecord& record);

/// Reads a file of such lines; a last one without its newline is left out. Throws IoError and FormatError.
std::vector<LossRecord> read_losses(const std::filesystem::path& file);

/// The same for the lines themselves, all of them whole. Throws FormatError naming `where` and the line.
std::vector<LossRecord> parse_losses(std::string_view lines, const std::string& where);

/// Of a value per text.
struct Spread {
  double mean = 0.0, median = 0.0, p10 = 0.0, p90 = 0.0;
};

/// One bucket, task and method. Perplexity is exp(loss) of each text, then these statistics.
struct PerplexityRow {
  std::int64_t length = 0;
  PretrainTask task = PretrainTask::reconstruction;
  Method method = Method::naive;
  std::int64_t texts = 0;       ///< with a finite loss
  std::int64_t not_finite = 0;  ///< texts left out because their loss is not
  std::int64_t tokens = 0;
  Spread loss, perplexity;
};

/// By length, task and method; depends on the records alone, not on their order.
std::vector<PerplexityRow> perplexity_rows(const std::vector<LossRecord>& records);

/// A table for each task: a row per length, a column per method, cells "median perplexity [P10, P90]".
std::string perplexity_markdown(const std::vector<PerplexityRow>& rows, const ReportLabels& labels);
std::string perplexity_csv(const std::vector<PerplexityRow>& rows);
std::string perplexity_json(const std::vector<PerplexityRow>& rows, const ReportLabels& labels);

/// Writes report.md, summary.json and perplexity.csv into the folder.
void write_perplexity(const std::vector<PerplexityRow>& rows, const ReportLabels& labels,
                      const std::filesystem::path& folder);

}  // namespace shine
