#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/qa/qa_dataset.h"
#include "eval/report/answer_records.h"
#include "eval/report/statistics.h"

namespace shine {

/// The conversations of the published figure of F1 per turn have exactly so many turns.
inline constexpr std::int64_t kPublishedTurns = 15;

/// What a table of several evaluations is made over.
struct ReportLabels {
  std::string model;
  std::string data_set;
  std::string checkpoint;
  std::int64_t seed = 0;  ///< of the training
};

struct ReportOptions {
  QaForm form = QaForm::multi_turn;
  ReportLabels labels;
  std::int64_t bootstrap = 1000;  ///< resamples
  std::uint64_t seed = 0;         ///< of the resamples
  std::vector<double> judge;      ///< a score for each answer, in order; empty: no judge
};

/// The mean F1 of all questions that came as the turn-th of their conversation.
struct TurnScore {
  std::int64_t turn = 0;  ///< from 0
  std::int64_t questions = 0;
  double f1 = 0.0;
};

/// One method's row. Scores are means over questions with intervals from resampled contexts; lengths and costs are
/// means over contexts.
struct MethodReport {
  Method method = Method::naive;
  std::int64_t contexts = 0;
  std::int64_t questions = 0;
  Interval f1, exact;
  std::optional<Interval> judge;
  std::vector<TurnScore> turns;            ///< multi-turn only
  std::vector<TurnScore> published_turns;  ///< of conversations with exactly kPublishedTurns turns
  double context_tokens = 0.0;
  double prepare_seconds = 0.0;
  double answer_seconds = 0.0;
  double peak_bytes = 0.0;
  double sft_loss = 0.0;  ///< NaN where no context has one
  double sft_loss_before = 0.0;
  std::int64_t context_tokens_cut = 0;
  std::int64_t turns_left_out = 0;
  std::int64_t questions_over_long = 0;
  std::int64_t sft_conversations_cut = 0;
  std::int64_t batch_contexts = 0;  ///< of the largest batch
};

/// SHINE's score minus another method's, over the questions that both answered.
struct MethodDifference {
  Method other = Method::naive;
  std::int64_t contexts = 0;
  std::int64_t questions = 0;
  Interval f1, exact;
};

struct EvaluationReport {
  QaForm form = QaForm::multi_turn;
  ReportLabels labels;
  std::int64_t bootstrap = 0;
  std::vector<MethodReport> methods;  ///< that have answers, in the order of Method
  std::vector<MethodDifference> differences;
  std::vector<std::string> warnings;  ///< rows that do not compare like with like
};

/// Depends on the records alone, not on their order.
EvaluationReport make_report(const EvaluationResults& results, const ReportOptions& options);

/// Tables ready to paste: scores in percent; multi-turn with the columns of the paper's table on efficiency (F1, LoRA
/// generation, answering, peak memory of a batch), one-question with F1 and exact match; paired differences; warnings.
std::string report_markdown(const EvaluationReport& report);

/// All numbers; intervals are [mean, low, high], NaN is null.
std::string report_json(const EvaluationReport& report);

/// "method,conversations,turn,questions,f1": turn from 1; conversations is `all` or the exact number of turns.
std::string turns_csv(const EvaluationReport& report);

/// Writes report.md, summary.json and, multi-turn, turns.csv into the folder.
void write_report(const EvaluationReport& report, const std::filesystem::path& folder);

}  // namespace shine
