#include "eval/report/report.h"

#include <algorithm>
#include <cmath>
#include <compare>
#include <map>
#include <set>
#include <utility>

#include "shine/common/error.h"
#include "shine/config/enum_names.h"

namespace shine {
namespace {

/// Place of a question in its item.
struct Place {
  std::int64_t conversation = 0, turn = 0;
  auto operator<=>(const Place&) const = default;
};

Place place_of(const AnswerRecord& record) {
  return {record.conversation, record.turn};
}

/// A method's answers by context and place; ordered, so that sums do not depend on the order of the records.
using ItemAnswers = std::map<Place, const AnswerRecord*>;
using MethodAnswers = std::map<std::string_view, ItemAnswers>;

std::map<Method, MethodAnswers> sort_answers(const EvaluationResults& results) {
  std::map<Method, MethodAnswers> sorted;
  for (const AnswerRecord& record : results.answers) sorted[record.method][record.item][place_of(record)] = &record;
  return sorted;
}

/// Clusters of what `value(item, answer)` gives for each answer; contexts without a value are left out.
template <class Value>
std::vector<Cluster> clusters_of(const MethodAnswers& answers, const Value& value) {
  std::vector<Cluster> clusters;
  for (const auto& [item, turns] : answers) {
    Cluster cluster;
    for (const auto& [place, record] : turns) {
      const std::optional<double> found = value(item, *record);
      if (!found) continue;
      cluster.sum += *found;
      ++cluster.count;
    }
    if (cluster.count > 0) clusters.push_back(cluster);
  }
  return clusters;
}

std::vector<TurnScore> score_turns(const MethodAnswers& answers, std::optional<std::size_t> exact_turns) {
  std::map<std::int64_t, TurnScore> scores;
  for (const auto& [item, turns] : answers) {
    std::map<std::int64_t, std::size_t> lengths;
    for (const auto& [place, record] : turns) ++lengths[place.conversation];
    for (const auto& [place, record] : turns) {
      if (exact_turns && lengths[place.conversation] != *exact_turns) continue;
      TurnScore& score = scores[place.turn];
      score.f1 += record->f1;
      ++score.questions;
    }
  }
  std::vector<TurnScore> rows;
  for (const auto& [turn, score] : scores) {
    rows.push_back({turn, score.questions, score.f1 / static_cast<double>(score.questions)});
  }
  return rows;
}

/// Sorted first: the sum must not depend on the order of the records.
template <class Number>
double mean_over(const std::vector<const ContextRecord*>& contexts, Number ContextRecord::*member) {
  std::vector<double> values;
  for (const ContextRecord* context : contexts) {
    const auto value = static_cast<double>(context->*member);
    if (!std::isnan(value)) values.push_back(value);
  }
  std::sort(values.begin(), values.end());
  return mean(values);
}

class ReportMaker {
 public:
  ReportMaker(const EvaluationResults& results, const ReportOptions& options)
      : results_(results), options_(options), answers_(sort_answers(results)) {
    SHINE_CHECK(options.judge.empty() || options.judge.size() == results.answers.size(), Error, "the judge gave ",
                options.judge.size(), " scores for ", results.answers.size(), " answers");
  }

  EvaluationReport make() {
    report_.form = options_.form;
    report_.labels = options_.labels;
    report_.bootstrap = options_.bootstrap;
    for (const auto& [method, answers] : answers_) report_.methods.push_back(method_report(method, answers));
    for (const auto& [method, answers] : answers_) {
      if (method != Method::shine && answers_.contains(Method::shine)) add_difference(method, answers);
    }
    check_questions();
    check_decoding();
    check_prompts(Method::naive, Method::sft);
    check_prompts(Method::shine, Method::shuffled);
    return std::move(report_);
  }

 private:
  Interval interval(const std::vector<Cluster>& clusters) const {
    return bootstrap_mean(clusters, options_.bootstrap, options_.seed);
  }

  MethodReport method_report(Method method, const MethodAnswers& answers) const {
    MethodReport row;
    row.method = method;
    row.f1 = interval(clusters_of(answers, [](auto, const AnswerRecord& record) { return std::optional(record.f1); }));
    row.exact =
        interval(clusters_of(answers, [](auto, const AnswerRecord& record) { return std::optional(record.exact); }));
    if (!options_.judge.empty()) {
      row.judge = interval(clusters_of(answers, [&](auto, const AnswerRecord& record) {
        return std::optional(options_.judge[static_cast<std::size_t>(&record - results_.answers.data())]);
      }));
    }
    for (const auto& [item, turns] : answers) row.questions += static_cast<std::int64_t>(turns.size());
    if (options_.form == QaForm::multi_turn) {
      row.turns = score_turns(answers, std::nullopt);
      row.published_turns = score_turns(answers, kPublishedTurns);
    }
    add_costs(row);
    return row;
  }

  void add_costs(MethodReport& row) const {
    std::vector<const ContextRecord*> contexts;
    for (const ContextRecord& context : results_.contexts) {
      if (context.method == row.method) contexts.push_back(&context);
    }
    row.contexts = static_cast<std::int64_t>(contexts.size());
    row.context_tokens = mean_over(contexts, &ContextRecord::context_tokens);
    row.prepare_seconds = mean_over(contexts, &ContextRecord::prepare_seconds);
    row.answer_seconds = mean_over(contexts, &ContextRecord::answer_seconds);
    row.peak_bytes = mean_over(contexts, &ContextRecord::peak_bytes);
    row.sft_loss = mean_over(contexts, &ContextRecord::sft_loss);
    row.sft_loss_before = mean_over(contexts, &ContextRecord::sft_loss_before);
    for (const ContextRecord* context : contexts) {
      row.context_tokens_cut += context->context_tokens_cut;
      row.turns_left_out += context->turns_left_out;
      row.questions_over_long += context->questions_over_long;
      row.sft_conversations_cut += context->sft_conversations_cut;
      row.batch_contexts = std::max(row.batch_contexts, context->batch_contexts);
    }
  }

  /// The method's answer to the same question; null where it has none.
  const AnswerRecord* answer_of(Method method, std::string_view item, const Place& place) const {
    const auto answers = answers_.find(method);
    if (answers == answers_.end()) return nullptr;
    const auto turns = answers->second.find(item);
    if (turns == answers->second.end()) return nullptr;
    const auto record = turns->second.find(place);
    return record == turns->second.end() ? nullptr : record->second;
  }

  void add_difference(Method other, const MethodAnswers& answers) {
    const auto differences = [&](double AnswerRecord::*score) {
      return clusters_of(answers, [&](std::string_view item, const AnswerRecord& record) -> std::optional<double> {
        const AnswerRecord* shine = answer_of(Method::shine, item, place_of(record));
        if (shine == nullptr) return std::nullopt;
        return shine->*score - record.*score;
      });
    };
    const std::vector<Cluster> f1 = differences(&AnswerRecord::f1);
    MethodDifference row;
    row.other = other;
    row.contexts = static_cast<std::int64_t>(f1.size());
    for (const Cluster& cluster : f1) row.questions += cluster.count;
    row.f1 = interval(f1);
    row.exact = interval(differences(&AnswerRecord::exact));
    report_.differences.push_back(row);
  }

  void check_questions() {
    std::set<std::pair<std::string_view, Place>> first;
    for (const auto& [method, answers] : answers_) {
      std::set<std::pair<std::string_view, Place>> own;
      for (const auto& [item, turns] : answers) {
        for (const auto& [place, record] : turns) own.emplace(item, place);
      }
      if (first.empty()) first = own;
      if (own == first) continue;
      report_.warnings.push_back(str(enum_name(method), " was not asked the same questions as ",
                                     enum_name(answers_.begin()->first),
                                     ": compare by the paired differences, which use what both were asked"));
    }
  }

  void check_decoding() {
    std::set<std::string_view> hashes;
    for (const AnswerRecord& record : results_.answers) hashes.insert(record.decoding_hash);
    if (hashes.size() < 2) return;
    report_.warnings.push_back(
        str("answers were written with ", hashes.size(), " different decoding options (decoding_hash)"));
  }

  /// Methods that differ in the LoRA alone must have been asked in the same words. In a conversation that holds for as
  /// long as the answers before, which are in the prompt, are the same.
  void check_prompts(Method first, Method second) {
    const auto answers = answers_.find(first);
    if (answers == answers_.end()) return;
    std::int64_t compared = 0, different = 0;
    for (const auto& [item, turns] : answers->second) {
      std::int64_t conversation = 0;
      bool same_history = true;
      for (const auto& [place, record] : turns) {
        if (std::exchange(conversation, place.conversation) != place.conversation) same_history = true;
        const AnswerRecord* other = answer_of(second, item, place);
        same_history = same_history && other != nullptr;
        if (!same_history) continue;
        ++compared;
        if (record->prompt_hash != other->prompt_hash) ++different;
        if (options_.form == QaForm::multi_turn) same_history = record->answer == other->answer;
      }
    }
    if (different == 0) return;
    report_.warnings.push_back(str("prompts of ", enum_name(first), " and ", enum_name(second), " differ in ",
                                   different, " of ", compared, " questions (prompt_hash)"));
  }

  const EvaluationResults& results_;
  const ReportOptions& options_;
  std::map<Method, MethodAnswers> answers_;
  EvaluationReport report_;
};

}  // namespace

EvaluationReport make_report(const EvaluationResults& results, const ReportOptions& options) {
  return ReportMaker(results, options).make();
}

}  // namespace shine
