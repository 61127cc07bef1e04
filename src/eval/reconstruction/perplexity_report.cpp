#include "eval/reconstruction/perplexity_report.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "common/format.h"
#include "eval/report/record_lines.h"
#include "eval/report/statistics.h"
#include "io/files/text_file.h"

namespace shine {
namespace {

using nlohmann::ordered_json;

template <class Record, class V>
void visit_loss(Record& record, V&& v) {
  v.value("length", record.length);
  v.value("task", record.task);
  v.value("method", record.method);
  v.value("text", record.text);
  v.value("tokens", record.tokens);
  v.optional_value("loss", record.loss);
}

TakeRecord collect_into(std::vector<LossRecord>& records) {
  return [&](const std::string& kind, const nlohmann::json& line, const std::string& where) {
    if (kind != "loss") throw FormatError("'kind': expected loss", where);
    RecordReader reader(line, where);
    visit_loss(records.emplace_back(), reader);
  };
}

/// Sorted first: the sum must not depend on the order of the records.
Spread spread_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return {mean(values), quantile(values, 0.5), quantile(values, 0.1), quantile(values, 0.9)};
}

ordered_json spread_json(const Spread& spread) {
  return {{"mean", spread.mean}, {"median", spread.median}, {"p10", spread.p10}, {"p90", spread.p90}};
}

std::string spread_csv(const Spread& spread) {
  return format(",%.6g,%.6g,%.6g,%.6g", spread.mean, spread.median, spread.p10, spread.p90);
}

std::string task_table(const std::vector<PerplexityRow>& rows, PretrainTask task) {
  std::set<Method> methods;
  std::map<std::int64_t, std::map<Method, const PerplexityRow*>> by_length;
  for (const PerplexityRow& row : rows) {
    if (row.task != task) continue;
    methods.insert(row.method);
    by_length[row.length][row.method] = &row;
  }
  if (methods.empty()) return {};
  std::string head = "| tokens | texts |", line = "|---:|---:|";
  for (const Method method : methods) {
    head += str(" ", enum_name(method), " |");
    line += "---:|";
  }
  std::string text = str("\n", enum_name(task), "\n\n", head, "\n", line, "\n");
  for (const auto& [length, cells] : by_length) {
    std::int64_t texts = 0;
    for (const auto& [method, row] : cells) texts = std::max(texts, row->texts);
    text += str("| ", length, " | ", texts, " |");
    for (const Method method : methods) {
      const auto cell = cells.find(method);
      const bool filled = cell != cells.end() && cell->second->texts > 0;
      if (!filled) {
        text += " - |";
        continue;
      }
      const Spread& value = cell->second->perplexity;
      text += format(" %.4g [%.4g, %.4g] |", value.median, value.p10, value.p90);
    }
    text += "\n";
  }
  return text;
}

}  // namespace

std::string record_json(const LossRecord& record) {
  RecordWriter writer("loss");
  visit_loss(record, writer);
  return writer.text();
}

std::vector<LossRecord> read_losses(const std::filesystem::path& file) {
  std::vector<LossRecord> records;
  read_record_lines(file, collect_into(records));
  return records;
}

std::vector<LossRecord> parse_losses(std::string_view lines, const std::string& where) {
  std::vector<LossRecord> records;
  parse_record_lines(lines, where, collect_into(records));
  return records;
}

std::vector<PerplexityRow> perplexity_rows(const std::vector<LossRecord>& records) {
  std::map<std::tuple<std::int64_t, PretrainTask, Method>, std::vector<const LossRecord*>> groups;
  for (const LossRecord& record : records) groups[{record.length, record.task, record.method}].push_back(&record);
  std::vector<PerplexityRow> rows;
  for (const auto& [key, group] : groups) {
    PerplexityRow row;
    std::tie(row.length, row.task, row.method) = key;
    std::vector<double> losses, perplexities;
    for (const LossRecord* record : group) {
      if (!std::isfinite(record->loss)) {
        ++row.not_finite;
        continue;
      }
      losses.push_back(record->loss);
      perplexities.push_back(std::exp(record->loss));
      row.tokens += record->tokens;
    }
    row.texts = static_cast<std::int64_t>(losses.size());
    row.loss = spread_of(losses);
    row.perplexity = spread_of(perplexities);
    rows.push_back(row);
  }
  return rows;
}

std::string perplexity_markdown(const std::vector<PerplexityRow>& rows, const ReportLabels& labels) {
  std::string text = str(labels.model, " on ", labels.data_set, "; median perplexity of a text [P10, P90]\n");
  for (const PretrainTask task : {PretrainTask::reconstruction, PretrainTask::completion}) {
    text += task_table(rows, task);
  }
  std::int64_t not_finite = 0;
  for (const PerplexityRow& row : rows) not_finite += row.not_finite;
  if (not_finite > 0) text += str("\n- **Warning:** ", not_finite, " losses are not finite and left out\n");
  return text;
}

std::string perplexity_csv(const std::vector<PerplexityRow>& rows) {
  std::string csv = "length,task,method,texts,not_finite,tokens";
  for (const char* value : {"loss", "perplexity"}) {
    for (const char* statistic : {"mean", "median", "p10", "p90"}) csv += str(",", value, "_", statistic);
  }
  csv += "\n";
  for (const PerplexityRow& row : rows) {
    csv += str(row.length, ",", enum_name(row.task), ",", enum_name(row.method), ",", row.texts, ",", row.not_finite,
               ",", row.tokens, spread_csv(row.loss), spread_csv(row.perplexity), "\n");
  }
  return csv;
}

std::string perplexity_json(const std::vector<PerplexityRow>& rows, const ReportLabels& labels) {
  ordered_json root;
  root["test"] = "pretrain";
  root["model"] = labels.model;
  root["data_set"] = labels.data_set;
  root["checkpoint"] = labels.checkpoint;
  root["seed"] = labels.seed;
  root["rows"] = ordered_json::array();
  for (const PerplexityRow& row : rows) {
    root["rows"].push_back({{"length", row.length},
                            {"task", enum_name(row.task)},
                            {"method", enum_name(row.method)},
                            {"texts", row.texts},
                            {"not_finite", row.not_finite},
                            {"tokens", row.tokens},
                            {"loss", spread_json(row.loss)},
                            {"perplexity", spread_json(row.perplexity)}});
  }
  return root.dump(1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

void write_perplexity(const std::vector<PerplexityRow>& rows, const ReportLabels& labels,
                      const std::filesystem::path& folder) {
  write_file_atomically(folder / "report.md", perplexity_markdown(rows, labels));
  write_file_atomically(folder / "summary.json", perplexity_json(rows, labels));
  write_file_atomically(folder / "perplexity.csv", perplexity_csv(rows));
}

}  // namespace shine
