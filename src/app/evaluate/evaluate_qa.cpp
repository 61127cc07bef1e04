#include "app/evaluate/evaluate_qa.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "app/build/special_token_use.h"
#include "app/evaluate/open_results.h"
#include "app/evaluate/trained_on.h"
#include "app/evaluate/unit_rounds.h"
#include "common/format.h"
#include "common/stop_signals.h"
#include "eval/qa/judge.h"
#include "eval/qa/qa_evaluator.h"
#include "eval/report/report.h"
#include "io/files/line_file.h"
#include "io/files/text_file.h"
#include "io/json/jsonl.h"
#include "shine/app/builders.h"
#include "shine/common/error.h"
#include "shine/common/logging.h"
#include "shine/common/str.h"
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

/// What is evaluated, read before anything is built.
struct QaInputs {
  std::vector<Method> methods;
  std::vector<QaContext> contexts;
  std::optional<WeightsSource> weights;  ///< where a method needs them
};

QaInputs read_inputs(const ExperimentConfig& config, QaForm form) {
  QaInputs inputs{evaluated_methods(config.evaluation), read_contexts(config.evaluation, form), {}};
  if (needs_weights(inputs.methods)) {
    inputs.weights = find_evaluated_weights(
        config, "train it, name another --checkpoint, or test with --baselines naive,in_context");
  }
  return inputs;
}

/// @param stop  asked between turns
QaEvaluator make_evaluator(const Experiment& experiment, QaInputs inputs, QaForm form, std::function<bool()> stop) {
  const EvaluationConfig& evaluation = experiment.config.evaluation;
  const SpecialTokens treatment = special_tokens(experiment.config.text);
  if (form == QaForm::one_question && evaluation.group_tokens > 0) {
    inputs.contexts =
        group_contexts(std::move(inputs.contexts), evaluation.group_tokens, static_cast<std::uint64_t>(evaluation.seed),
                       *experiment.tokenizer, treatment, experiment.chat_format.text_end);
  }
  if (!PeakMemory::can_measure(experiment.device)) {
    log_warning("/proc/self/clear_refs cannot be written: peak memory is given as 0");
  }
  return {{*experiment.decoder, experiment.hypernetwork.get(), *experiment.tokenizer, experiment.end_tokens},
          std::move(inputs.contexts),
          {form, std::move(inputs.methods), evaluation, {treatment, experiment.chat_format}, std::move(stop)}};
}

std::vector<std::string> texts_of(const std::vector<QaContext>& contexts) {
  std::vector<std::string> texts;
  for (const QaContext& context : contexts) texts.push_back(context.joined());
  return texts;
}

void log_plan(const QaEvaluator& evaluator, const std::string& data_set) {
  std::size_t questions = 0, not_in_context = 0;
  for (const QaContext& context : evaluator.contexts()) {
    const std::string text = context.joined();
    questions += context.questions();
    for (const auto& dialogue : context.dialogues) not_in_context += count_not_in_context(text, dialogue);
  }
  log_info(str(data_set, ": ", questions, " questions about ", evaluator.contexts().size(), " contexts"));
  if (not_in_context > 0) {
    log_warning(str(data_set, ": ", not_in_context, " of ", questions,
                    " questions have no right answer that occurs in their context"));
  }
  for (const auto& [method, left] : evaluator.left_out()) {
    log_warning(str(enum_name(method), ": ", left.contexts, " of ", evaluator.contexts().size(),
                    " contexts left out, the first is ", left.first, ": ", left.reason));
  }
}

void warn_about_cuts(const EvaluationResults& results) {
  struct Cuts {
    std::int64_t contexts = 0, context_tokens = 0, turns = 0, questions = 0, sft_conversations = 0;
  };
  std::map<Method, Cuts> cuts_of;
  for (const ContextRecord& record : results.contexts) {
    Cuts& cuts = cuts_of[record.method];
    cuts.contexts += record.context_tokens_cut > 0 ? 1 : 0;
    cuts.context_tokens += record.context_tokens_cut;
    cuts.turns += record.turns_left_out;
    cuts.questions += record.questions_over_long;
    cuts.sft_conversations += record.sft_conversations_cut;
  }
  const auto warn = [&](std::int64_t Cuts::*count, const auto& text_of) {
    for (const auto& [method, cuts] : cuts_of) {
      if (cuts.*count > 0) log_warning(str(enum_name(method), ": ", text_of(cuts)));
    }
  };
  warn(&Cuts::contexts, [](const Cuts& cuts) {
    return str(cuts.contexts, " contexts cut before their LoRA was generated, by ", cuts.context_tokens,
               " tokens in all (evaluation.context_max_length)");
  });
  warn(&Cuts::turns, [](const Cuts& cuts) {
    return str("the oldest turns left out of prompts that were too long, ", cuts.turns,
               " in all (evaluation.conversation_max_length)");
  });
  warn(&Cuts::questions, [](const Cuts& cuts) {
    return str(cuts.questions, " questions are longer than evaluation.conversation_max_length and were asked whole");
  });
  warn(&Cuts::sft_conversations, [](const Cuts& cuts) {
    return str(cuts.sft_conversations, " conversations for SFT cut at the model's positions");
  });
}

/// The number of leading units that `earlier` holds complete; removes what belongs to others.
std::size_t keep_whole_units(const QaEvaluator& evaluator, EvaluationResults& earlier) {
  using Key = std::pair<Method, std::string>;
  std::set<Key> complete, kept;
  for (const ContextRecord& record : earlier.contexts) complete.emplace(record.method, record.item);
  std::size_t units = 0;
  for (const QaUnit& unit : evaluator.units()) {
    std::vector<Key> keys;
    for (const std::size_t context : unit.contexts) keys.emplace_back(unit.method, evaluator.contexts()[context].id);
    if (!std::all_of(keys.begin(), keys.end(), [&](const Key& key) { return complete.contains(key); })) break;
    kept.insert(keys.begin(), keys.end());
    ++units;
  }
  const auto is_other = [&](const auto& record) { return !kept.contains({record.method, record.item}); };
  std::erase_if(earlier.answers, is_other);
  std::erase_if(earlier.contexts, is_other);
  return units;
}

/// The lines of prompts.jsonl from before that belong to the answers that stay. Throws ConfigError where an answer has
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

/// Answers units on any rank; rank 0 writes them as they come.
class QaAnswering : public UnitWork {
 public:
  /// Takes up the answers that are in the folder: those of the longest run of whole units from the start, so that the
  /// rest is answered again in the same batches.
  /// @param folder  rank 0's; null on the others
  QaAnswering(const QaEvaluator& evaluator, const ResultsFolder* folder, bool save_prompts)
      : evaluator_(evaluator), save_prompts_(save_prompts) {
    if (folder == nullptr) return;
    const std::filesystem::path file = folder->file(kAnswersFile);
    if (folder->goes_on()) {
      EvaluationResults earlier = read_results(file);
      kept_units_ = keep_whole_units(evaluator, earlier);
      add(earlier);
      log_info(str("going on: ", kept_units_, " of ", units(), " batches are answered"));
    }
    if (save_prompts) prompts_.emplace(folder->file(kPromptsFile), kept_prompts(*folder, results_.answers.size()));
    answers_.emplace(file, results_text(results_));
  }

  std::size_t units() const override { return evaluator_.units().size(); }

  std::optional<std::vector<std::string>> run(std::size_t unit) override {
    if (!std::exchange(warm_, true)) evaluator_.warm_up();
    const std::optional<QaUnitResults> results = evaluator_.run(evaluator_.units()[unit]);
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
    add(records);
    const Method method = evaluator_.units()[unit].method;
    const auto& [sum, count] = f1_[method];
    return str(enum_name(method), format(" F1 %.4f", sum / static_cast<double>(count)), " over ", count, " questions");
  }

  std::size_t kept_units() const { return kept_units_; }
  const EvaluationResults& results() const { return results_; }

 private:
  void add(const EvaluationResults& records) {
    results_.answers.insert(results_.answers.end(), records.answers.begin(), records.answers.end());
    results_.contexts.insert(results_.contexts.end(), records.contexts.begin(), records.contexts.end());
    for (const AnswerRecord& record : records.answers) {
      auto& [sum, count] = f1_[record.method];
      sum += record.f1;
      ++count;
    }
  }

  const QaEvaluator& evaluator_;
  bool save_prompts_, warm_ = false;
  std::optional<LineFile> answers_, prompts_;
  EvaluationResults results_;
  std::size_t kept_units_ = 0;
  std::map<Method, std::pair<double, std::size_t>> f1_;  ///< of results_: sum and number, for the progress line
};

/// Writes the report; for a complete evaluation it does so again with the judge's scores, so that a judge that fails
/// costs no report.
EvaluationReport write_judged_report(const EvaluationResults& results, ReportOptions options, const std::string& judge,
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

}  // namespace

EvaluationOutcome evaluate_qa(const ExperimentConfig& config, const QaEvaluationRequest& request, Rank& rank) {
  QaInputs inputs = read_inputs(config, request.form);
  const std::string test = request.form == QaForm::multi_turn ? "mqa" : "1qa";
  const ReportOptions report_options{request.form,
                                     report_labels(config, test, inputs.weights),
                                     config.evaluation.bootstrap,
                                     static_cast<std::uint64_t>(config.evaluation.seed),
                                     {}};
  const EvaluationIdentity identity{request.program, config,
                                    content_fingerprints(config, fingerprint_of(inputs.contexts), inputs.weights)};
  const std::filesystem::path path = results_path(config, test);
  const auto folder = open_results(rank.group(), path, identity, kAnswersFile, request.resume);
  if (inputs.weights) log_info("weights: " + inputs.weights->note);
  if (inputs.weights && folder) warn_about_trained_texts(texts_of(inputs.contexts), inputs.weights->folder);

  StopSignals signals;
  const ExperimentConfig own = rank.own_config(config);
  const Experiment experiment = inputs.weights ? build_model(own, inputs.weights) : build_language_model(own);
  const QaEvaluator evaluator =
      make_evaluator(experiment, std::move(inputs), request.form, [&] { return !signals.received().empty(); });
  if (folder) log_plan(evaluator, report_options.labels.data_set);
  signals.hold();
  QaAnswering answering(evaluator, folder.get(), request.save_prompts);
  const UnitsDone done = run_units(
      rank.group(), answering, answering.kept_units(), [&] { return signals.received(); }, config.logging.progress);
  const bool complete = done.stopped_by.empty();
  if (complete) rank.leave();  // nobody waits for the judge

  EvaluationOutcome outcome{path, done.stopped_by, ""};
  if (!folder) return outcome;
  warn_about_cuts(answering.results());
  outcome.report = report_markdown(
      write_judged_report(answering.results(), report_options, complete ? config.evaluation.judge : "", *folder));
  return outcome;
}

}  // namespace shine
