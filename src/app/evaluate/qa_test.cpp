#include "app/evaluate/qa_test.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "app/build/special_token_use.h"
#include "app/evaluate/open_results.h"
#include "app/evaluate/test_inputs.h"
#include "app/evaluate/unit_rounds.h"
#include "common/format.h"
#include "common/stop_signals.h"
#include "eval/qa/judge.h"
#include "eval/qa/qa_tester.h"
#include "eval/report/report.h"
#include "io/files/line_file.h"
#include "io/files/text_file.h"
#include "io/json/jsonl.h"
#include "shine/app/builders.h"
#include "shine/common/error.h"
#include "shine/common/logging.h"
#include "tensor/peak_memory.h"

namespace shine {
namespace {

constexpr const char* kAnswersFile = "answers.jsonl";
constexpr const char* kPromptsFile = "prompts.jsonl";

bool needs_weights(const std::vector<Method>& methods) {
  return std::any_of(methods.begin(), methods.end(),
                     [](Method method) { return method == Method::shine || method == Method::shuffled; });
}

std::vector<QaContext> read_contexts(const EvaluationConfig& evaluation, QaForm form) {
  std::vector<QaItem> items;
  for (const std::string& file : evaluation.data) {
    for (QaItem& item : read_qa_items(file)) items.push_back(std::move(item));
  }
  const QaSelection selection{evaluation.limit, static_cast<std::uint64_t>(evaluation.seed)};
  return form == QaForm::multi_turn ? multi_turn_contexts(items, selection) : one_question_contexts(items, selection);
}

struct QuestionCounts {
  std::size_t all = 0, not_in_context = 0;
};

QuestionCounts count_questions(const std::vector<QaContext>& contexts) {
  QuestionCounts counts;
  for (const QaContext& context : contexts) {
    const std::string text = context.joined();
    for (const auto& dialogue : context.dialogues) {
      counts.all += dialogue.size();
      counts.not_in_context += count_not_in_context(text, dialogue);
    }
  }
  return counts;
}

/// Results are kept for the longest run of whole units from the start: the rest is answered again in the same batches.
struct Saved {
  EvaluationResults records;
  std::size_t units = 0;
};

Saved keep_whole_units(const QaTester& tester, const EvaluationResults& earlier) {
  using Key = std::pair<Method, std::string>;
  std::set<Key> complete, kept;
  for (const ContextRecord& record : earlier.contexts) complete.emplace(record.method, record.item);
  Saved result;
  for (const QaUnit& unit : tester.units()) {
    std::vector<Key> keys;
    for (const std::size_t context : unit.contexts) keys.emplace_back(unit.method, tester.contexts()[context].id);
    if (!std::all_of(keys.begin(), keys.end(), [&](const Key& key) { return complete.contains(key); })) break;
    kept.insert(keys.begin(), keys.end());
    ++result.units;
  }
  const auto is_kept = [&](const auto& record) { return kept.contains({record.method, record.item}); };
  std::copy_if(earlier.answers.begin(), earlier.answers.end(), std::back_inserter(result.records.answers), is_kept);
  std::copy_if(earlier.contexts.begin(), earlier.contexts.end(), std::back_inserter(result.records.contexts), is_kept);
  return result;
}

/// The lines of prompts.jsonl from before that belong to answers that were kept. Throws ConfigError where an answer has
/// none.
std::string kept_prompts(const ResultsFolder& folder, std::size_t answers) {
  const std::filesystem::path file = folder.file(kPromptsFile);
  std::string text;
  std::size_t taken = 0;
  if (answers > 0 && std::filesystem::exists(file)) {
    read_lines(file, [&](std::size_t, std::string_view line) {
      text.append(line).append("\n");
      return ++taken < answers;
    });
  }
  if (taken == answers) return text;
  throw ConfigError(str(kPromptsFile, " has the prompts of ", taken, " answers, and ", answers, " are there already"),
                    "evaluation.output " + folder.path().string(),
                    "go on without --prompts, or start again in another --output");
}

void log_plan(const QaTester& tester) {
  const QuestionCounts questions = count_questions(tester.contexts());
  log_info(str(questions.all, " questions about ", tester.contexts().size(), " contexts"));
  if (questions.not_in_context > 0) {
    log_warning(str(questions.not_in_context, " of ", questions.all,
                    " questions have no right answer that occurs in their context"));
  }
  for (const auto& [method, left] : tester.left_out()) {
    log_warning(str(enum_name(method), ": ", left.contexts, " of ", tester.contexts().size(),
                    " contexts left out, the first is ", left.first, ": ", left.reason));
  }
}

void warn_about_cuts(const EvaluationResults& results) {
  std::map<Method, std::pair<std::int64_t, std::int64_t>> contexts_cut;  // how many, tokens
  std::map<Method, std::int64_t> turns, over_long, sft_cut;
  for (const ContextRecord& record : results.contexts) {
    turns[record.method] += record.turns_left_out;
    over_long[record.method] += record.questions_over_long;
    sft_cut[record.method] += record.sft_conversations_cut;
    if (record.context_tokens_cut == 0) continue;
    ++contexts_cut[record.method].first;
    contexts_cut[record.method].second += record.context_tokens_cut;
  }
  for (const auto& [method, cut] : contexts_cut) {
    log_warning(str(enum_name(method), ": ", cut.first, " contexts cut before their LoRA was generated, by ",
                    cut.second, " tokens in all (evaluation.context_max_length)"));
  }
  for (const auto& [method, count] : turns) {
    if (count == 0) continue;
    log_warning(str(enum_name(method), ": the oldest turns left out of prompts that were too long, ", count,
                    " in all (evaluation.conversation_max_length)"));
  }
  for (const auto& [method, count] : over_long) {
    if (count == 0) continue;
    log_warning(str(enum_name(method), ": ", count,
                    " questions are longer than evaluation.conversation_max_length and were asked whole"));
  }
  for (const auto& [method, count] : sft_cut) {
    if (count == 0) continue;
    log_warning(str(enum_name(method), ": ", count, " conversations for SFT cut at the model's positions"));
  }
}

void append(EvaluationResults& to, const EvaluationResults& from) {
  to.answers.insert(to.answers.end(), from.answers.begin(), from.answers.end());
  to.contexts.insert(to.contexts.end(), from.contexts.begin(), from.contexts.end());
}

/// Answers units on any rank; rank 0 writes them as they come.
class QaAnswering : public UnitWork {
 public:
  /// @param folder  rank 0's; null on the others
  QaAnswering(const QaTester& tester, const ResultsFolder* folder, bool save_prompts)
      : tester_(tester), save_prompts_(save_prompts) {
    if (folder == nullptr) return;
    Saved kept;
    if (folder->goes_on()) kept = keep_whole_units(tester, read_results(folder->file(kAnswersFile)));
    results_ = std::move(kept.records);
    kept_units_ = kept.units;
    if (folder->goes_on()) log_info(str("going on: ", kept.units, " of ", units(), " batches are answered"));
    if (save_prompts) prompts_.emplace(folder->file(kPromptsFile), kept_prompts(*folder, results_.answers.size()));
    answers_.emplace(folder->file(kAnswersFile), results_text(results_));
    add_scores(results_.answers);
  }

  std::size_t units() const override { return tester_.units().size(); }

  std::optional<std::vector<std::string>> run(std::size_t unit) override {
    if (!std::exchange(warm_, true)) tester_.warm_up();
    const std::optional<QaUnitResults> results = tester_.run(tester_.units()[unit]);
    if (!results) return std::nullopt;
    std::string prompts;
    for (const PromptRecord& record : results->prompts) {
      if (save_prompts_) prompts += prompt_json(record) + "\n";
    }
    return std::vector{results_text(results->records), std::move(prompts)};
  }

  std::string keep(std::size_t unit, const std::vector<std::string>& results) override {
    const EvaluationResults records = parse_results(results.at(0), str("the results of batch ", unit + 1));
    if (prompts_) prompts_->append(results.at(1));  // first: no answer is without its prompt
    answers_->append(results.at(0));
    append(results_, records);
    add_scores(records.answers);
    const Method method = tester_.units()[unit].method;
    const auto& [sum, count] = f1_[method];
    return str(enum_name(method), format(" F1 %.4f", sum / static_cast<double>(count)), " over ", count, " questions");
  }

  std::size_t kept_units() const { return kept_units_; }
  const EvaluationResults& results() const { return results_; }

 private:
  void add_scores(const std::vector<AnswerRecord>& answers) {
    for (const AnswerRecord& record : answers) {
      auto& [sum, count] = f1_[record.method];
      sum += record.f1;
      ++count;
    }
  }

  const QaTester& tester_;
  bool save_prompts_, warm_ = false;
  std::optional<LineFile> answers_, prompts_;
  EvaluationResults results_;
  std::size_t kept_units_ = 0;
  std::map<Method, std::pair<double, std::size_t>> f1_;  ///< of results_: sum and number, for the progress line
};

/// Writes the report; of a complete test also with the judge's scores, and before that without them: a judge that fails
/// costs no report.
EvaluationReport write_test_report(const EvaluationResults& results, ReportOptions options, const std::string& judge,
                                   const ResultsFolder& folder) {
  EvaluationReport report = make_report(results, options);
  write_report(report, folder.path());
  if (judge.empty()) return report;
  log_info(str("results without the judge: ", folder.path().string()));
  options.judge = judge_answers(judge, results.answers);
  write_file_atomically(folder.file("judge.jsonl"), judge_text(results.answers, options.judge));
  report = make_report(results, options);
  write_report(report, folder.path());
  return report;
}

TestIdentity identify(const ExperimentConfig& config, const QaTestRequest& request,
                      const std::vector<QaContext>& contexts, const std::optional<WeightsSource>& weights) {
  TestIdentity identity{request.program, config, {}};
  identity.fingerprints = content_fingerprints(config, fingerprint_of(contexts), weights);
  return identity;
}

}  // namespace

QaTestOutcome run_qa_test(const ExperimentConfig& config, const QaTestRequest& request, Rank& rank) {
  const EvaluationConfig& evaluation = config.evaluation;
  const std::vector<Method> methods = tested_methods(evaluation);
  std::vector<QaContext> contexts = read_contexts(evaluation, request.form);
  std::optional<WeightsSource> weights;
  if (needs_weights(methods)) {
    weights =
        find_tested_weights(config, "train it, name another --checkpoint, or test with --baselines naive,in_context");
  }
  const std::string test = request.form == QaForm::multi_turn ? "mqa" : "1qa";
  const ReportOptions report_options{request.form,
                                     report_labels(config, test, weights),
                                     evaluation.bootstrap,
                                     static_cast<std::uint64_t>(evaluation.seed),
                                     {}};
  const std::filesystem::path path = results_path(config, test);
  const auto folder =
      open_results(rank.group(), path, identify(config, request, contexts, weights), kAnswersFile, request.resume);
  if (weights) log_info("weights: " + weights->note);
  StopSignals signals;
  const ExperimentConfig own = rank.own_config(config);
  const Experiment experiment = weights ? build_model(own, weights) : build_language_model(own);
  const SpecialTokens treatment = special_tokens(config.text);
  if (request.form == QaForm::one_question && evaluation.group_tokens > 0) {
    contexts = group_contexts(std::move(contexts), evaluation.group_tokens, static_cast<std::uint64_t>(evaluation.seed),
                              *experiment.tokenizer, treatment);
  }
  if (!PeakMemory::can_measure(experiment.device)) {
    log_warning("/proc/self/clear_refs cannot be written: peak memory is given as 0");
  }
  const QaTester tester({*experiment.decoder, experiment.hypernetwork.get(), *experiment.tokenizer},
                        std::move(contexts),
                        {request.form, methods, evaluation, treatment, [&] { return !signals.received().empty(); }});
  if (folder) log_plan(tester);
  signals.hold();
  QaAnswering answering(tester, folder.get(), request.save_prompts);
  const UnitsDone done = run_units(
      rank.group(), answering, answering.kept_units(), [&] { return signals.received(); }, config.logging.progress);
  const bool complete = done.stopped_by.empty();
  if (complete) rank.leave();  // nobody waits for the judge
  QaTestOutcome outcome{path, done.stopped_by, ""};
  if (!folder) return outcome;
  warn_about_cuts(answering.results());
  outcome.report = report_markdown(
      write_test_report(answering.results(), report_options, complete ? evaluation.judge : "", *folder));
  return outcome;
}

}  // namespace shine
