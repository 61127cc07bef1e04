#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "common/format.h"
#include "eval/report/report.h"
#include "io/files/text_file.h"
#include "shine/common/str.h"
#include "shine/config/enum_names.h"

namespace shine {
namespace {

using nlohmann::ordered_json;

constexpr const char* kNothing = "-";

std::string scaled(const Interval& interval, double factor, const char* pattern) {
  if (std::isnan(interval.mean)) return kNothing;
  return format(pattern, factor * interval.mean, factor * interval.low, factor * interval.high);
}

std::string percent(const Interval& interval) {
  return scaled(interval, 100, "%.1f [%.1f, %.1f]");
}

std::string difference(const Interval& interval) {
  return scaled(interval, 100, "%+.1f [%+.1f, %+.1f]");
}

std::string seconds(double value) {
  return value > 0 ? format("%.3g", value) : kNothing;
}

std::string mebibytes(double bytes) {
  return bytes > 0 ? format("%.0f", bytes / (1 << 20)) : kNothing;
}

std::string row(const std::vector<std::string>& cells) {
  return "| " + join(cells, " | ") + " |\n";
}

std::string table(const std::vector<std::string>& head, const std::vector<std::vector<std::string>>& rows) {
  std::string text = row(head) + "|---|" + [&] {
    std::string rest;
    for (std::size_t i = 1; i < head.size(); ++i) rest += "---:|";
    return rest;
  }() + "\n";
  for (const auto& cells : rows) text += row(cells);
  return text;
}

bool has_judge(const EvaluationReport& report) {
  return !report.methods.empty() && report.methods.front().judge.has_value();
}

std::string score_table(const EvaluationReport& report) {
  const bool multi_turn = report.form == QaForm::multi_turn;
  std::vector<std::string> head = {"method", "contexts", "questions", "F1", "exact match"};
  if (has_judge(report)) head.emplace_back("judge");
  if (multi_turn) {
    for (const char* cost : {"LoRA generation, s", "answering, s", "peak memory of a batch, MiB"})
      head.emplace_back(cost);
  }
  std::vector<std::vector<std::string>> rows;
  for (const MethodReport& method : report.methods) {
    std::vector<std::string> cells = {std::string(enum_name(method.method)), str(method.contexts),
                                      str(method.questions), percent(method.f1), percent(method.exact)};
    if (method.judge) cells.push_back(scaled(*method.judge, 1, "%.3g [%.3g, %.3g]"));
    if (multi_turn) {
      cells.push_back(seconds(method.prepare_seconds));
      cells.push_back(seconds(method.answer_seconds));
      cells.push_back(mebibytes(method.peak_bytes));
    }
    rows.push_back(cells);
  }
  return table(head, rows);
}

std::string difference_table(const EvaluationReport& report) {
  std::vector<std::vector<std::string>> rows;
  for (const MethodDifference& row : report.differences) {
    rows.push_back({str("shine - ", enum_name(row.other)), str(row.contexts), str(row.questions), difference(row.f1),
                    difference(row.exact)});
  }
  return table({"paired difference", "contexts", "questions", "F1", "exact match"}, rows);
}

/// "a batch of up to N contexts", of the largest batch; without N where the records do not say.
std::string batch_text(const EvaluationReport& report) {
  std::int64_t contexts = 0;
  for (const MethodReport& method : report.methods) contexts = std::max(contexts, method.batch_contexts);
  if (contexts == 0) return "a batch of contexts";
  return contexts == 1 ? "a batch of 1 context" : str("a batch of up to ", contexts, " contexts");
}

/// What was cut, which a reader of the scores must know.
std::string notes(const EvaluationReport& report) {
  std::string text;
  for (const MethodReport& method : report.methods) {
    const auto note = [&](std::int64_t count, const char* what) {
      if (count > 0) text += str("- ", enum_name(method.method), ": ", count, " ", what, "\n");
    };
    note(method.context_tokens_cut, "tokens of contexts cut");
    note(method.turns_left_out, "oldest turns left out of prompts");
    note(method.questions_over_long, "questions longer than evaluation.conversation_max_length, asked whole");
    note(method.sft_conversations_cut, "conversations for SFT cut at the model's positions");
    if (!std::isnan(method.sft_loss)) {
      text += format("- %s: loss on the real questions %.3f before training, %.3f after\n",
                     std::string(enum_name(method.method)).c_str(), method.sft_loss_before, method.sft_loss);
    }
  }
  for (const std::string& warning : report.warnings) text += "- **Warning:** " + warning + "\n";
  return text;
}

ordered_json interval_json(const Interval& interval) {
  return ordered_json::array({interval.mean, interval.low, interval.high});
}

ordered_json turns_json(const std::vector<TurnScore>& turns) {
  ordered_json rows = ordered_json::array();
  for (const TurnScore& turn : turns) {
    rows.push_back({{"turn", turn.turn + 1}, {"questions", turn.questions}, {"f1", turn.f1}});
  }
  return rows;
}

ordered_json method_json(const MethodReport& method) {
  ordered_json row;
  row["method"] = enum_name(method.method);
  row["contexts"] = method.contexts;
  row["questions"] = method.questions;
  row["f1"] = interval_json(method.f1);
  row["exact"] = interval_json(method.exact);
  if (method.judge) row["judge"] = interval_json(*method.judge);
  row["context_tokens"] = method.context_tokens;
  row["prepare_seconds"] = method.prepare_seconds;
  row["answer_seconds"] = method.answer_seconds;
  row["peak_bytes"] = method.peak_bytes;
  row["sft_loss"] = method.sft_loss;
  row["sft_loss_before"] = method.sft_loss_before;
  row["context_tokens_cut"] = method.context_tokens_cut;
  row["turns_left_out"] = method.turns_left_out;
  row["questions_over_long"] = method.questions_over_long;
  row["sft_conversations_cut"] = method.sft_conversations_cut;
  row["batch_contexts"] = method.batch_contexts;
  row["turns"] = turns_json(method.turns);
  row["published_turns"] = turns_json(method.published_turns);
  return row;
}

void append_turns(std::string& csv, const MethodReport& method, const std::string& conversations,
                  const std::vector<TurnScore>& turns) {
  for (const TurnScore& turn : turns) {
    csv += str(enum_name(method.method), ",", conversations, ",", turn.turn + 1, ",", turn.questions, ",",
               format("%.6f", turn.f1), "\n");
  }
}

}  // namespace

std::string report_markdown(const EvaluationReport& report) {
  const ReportLabels& labels = report.labels;
  std::string text = str(labels.model, " on ", labels.data_set, report.form == QaForm::multi_turn ? ", multi-turn" : ", one question",
                         "; scores in percent, mean over questions [95 % interval, ", report.bootstrap,
                         " bootstrap resamples of contexts]");
  if (report.form == QaForm::multi_turn) {
    text += str("; times per context, peak memory of ", batch_text(report), " above the loaded weights");
  }
  text += "\n\n" + score_table(report);
  if (!report.differences.empty()) text += "\n" + difference_table(report);
  const std::string remarks = notes(report);
  if (!remarks.empty()) text += "\n" + remarks;
  return text;
}

std::string report_json(const EvaluationReport& report) {
  ordered_json root;
  root["test"] = report.form == QaForm::multi_turn ? "mqa" : "1qa";
  root["model"] = report.labels.model;
  root["data_set"] = report.labels.data_set;
  root["checkpoint"] = report.labels.checkpoint;
  root["seed"] = report.labels.seed;
  root["bootstrap"] = report.bootstrap;
  root["methods"] = ordered_json::array();
  for (const MethodReport& method : report.methods) root["methods"].push_back(method_json(method));
  root["differences"] = ordered_json::array();
  for (const MethodDifference& row : report.differences) {
    root["differences"].push_back({{"other", enum_name(row.other)},
                                   {"contexts", row.contexts},
                                   {"questions", row.questions},
                                   {"f1", interval_json(row.f1)},
                                   {"exact", interval_json(row.exact)}});
  }
  root["warnings"] = report.warnings;
  return root.dump(1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

std::string turns_csv(const EvaluationReport& report) {
  std::string csv = "method,conversations,turn,questions,f1\n";
  for (const MethodReport& method : report.methods) append_turns(csv, method, "all", method.turns);
  for (const MethodReport& method : report.methods) {
    append_turns(csv, method, std::to_string(kPublishedTurns), method.published_turns);
  }
  return csv;
}

void write_report(const EvaluationReport& report, const std::filesystem::path& folder) {
  write_file_atomically(folder / "report.md", report_markdown(report));
  write_file_atomically(folder / "summary.json", report_json(report));
  if (report.form == QaForm::multi_turn) write_file_atomically(folder / "turns.csv", turns_csv(report));
}

}  // namespace shine
