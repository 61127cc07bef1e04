#include "app/evaluate/evaluate_reconstruction.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "app/build/special_token_use.h"
#include "app/build/stage_builder.h"
#include "app/build/stage_data.h"
#include "app/evaluate/open_results.h"
#include "app/evaluate/trained_on.h"
#include "app/evaluate/unit_rounds.h"
#include "common/format.h"
#include "common/hash.h"
#include "common/stop_signals.h"
#include "data/pretrain/documents.h"
#include "eval/reconstruction/perplexity.h"
#include "eval/reconstruction/perplexity_report.h"
#include "io/files/line_file.h"
#include "shine/common/error.h"
#include "shine/common/logging.h"
#include "shine/config/enum_names.h"
#include "shine/text/chat_template.h"

namespace shine {
namespace {

constexpr const char* kTest = "pretrain";
constexpr const char* kLossesFile = "losses.jsonl";

/// Texts of one bucket that are scored together.
struct Unit {
  std::size_t bucket = 0;
  PretrainTask task = PretrainTask::reconstruction;
  Method method = Method::naive;
  std::vector<std::size_t> texts;
  std::vector<std::size_t> contexts;  ///< the texts whose LoRA is used, one for each
};

bool has_meaning(Method method) {
  return method != Method::in_context && method != Method::sft;
}

std::vector<Method> methods_of(const EvaluationConfig& evaluation) {
  std::vector<Method> methods = evaluated_methods(evaluation);
  std::erase_if(methods, [](Method method) { return !has_meaning(method); });
  SHINE_CHECK(!methods.empty(), ConfigError,
              "evaluation.baselines: methods in_context and sft have no meaning for reconstruction and completion "
              "(name naive, shine or shuffled)");
  return methods;
}

/// Logs which methods are skipped, unless evaluation.baselines is at its default.
void log_left_out(const EvaluationConfig& evaluation) {
  if (evaluation.baselines == EvaluationConfig{}.baselines) return;
  std::vector<std::string> names;
  for (const Method method : evaluated_methods(evaluation)) {
    if (!has_meaning(method)) names.emplace_back(enum_name(method));
  }
  if (names.empty()) return;
  log_info(
      str("evaluation.baselines: ", join(names, ", "), " left out, without meaning for reconstruction and completion"));
}

std::uint64_t fingerprint_of(const std::vector<std::string>& texts) {
  Fnv1a hash;
  for (const std::string& text : texts) hash.add(std::uint64_t{text.size()}).add_bytes(text);
  return hash.value();
}

/// Cuts texts to the lengths of buckets and scores them.
class ReconstructionEvaluator {
 public:
  ReconstructionEvaluator(const Experiment& experiment, BucketTexts texts, const std::vector<Method>& methods)
      : experiment_(experiment), texts_(std::move(texts)) {
    check_template();
    for (std::size_t bucket = 0; bucket < texts_.lengths().size(); ++bucket) add_units(bucket, methods);
    SHINE_CHECK(!units_.empty(), ConfigError, "evaluation.data: no text of at least ", texts_.lengths().front(),
                " tokens (lower evaluation.buckets.first, or name other files)");
  }

  const std::vector<Unit>& units() const { return units_; }
  std::int64_t length(const Unit& unit) const { return texts_.lengths()[unit.bucket]; }

  std::vector<LossRecord> run(const Unit& unit) const {
    const at::NoGradGuard no_grad;
    const Decoder& decoder = *experiment_.decoder;
    std::vector<Sample> samples;
    for (std::size_t i = 0; i < unit.texts.size(); ++i) {
      samples.push_back(sample(unit, unit.texts[i]));
      if (unit.contexts[i] == unit.texts[i]) continue;
      samples.back().context_ids = sample(unit, unit.contexts[i]).context_ids;
    }
    const ModelBatch batch = make_model_batch(samples, experiment_.device, decoder.softmax_size());
    std::optional<GeneratedLora> lora;
    if (unit.method != Method::naive) lora = experiment_.hypernetwork->generate(batch.contexts);
    const std::vector<SampleLoss> losses = sample_losses(decoder, lora ? &lora->tree : nullptr, batch);
    std::vector<LossRecord> records;
    for (std::size_t i = 0; i < losses.size(); ++i) {
      records.push_back({length(unit), unit.task, unit.method, static_cast<std::int64_t>(unit.texts[i]),
                         losses[i].tokens, losses[i].loss});
    }
    return records;
  }

 private:
  const BucketConfig& buckets() const { return experiment_.config.evaluation.buckets; }

  void check_template() const {
    const std::int64_t overhead = tokens_per_turn(*experiment_.tokenizer, experiment_.chat_format);
    SHINE_CHECK(buckets().conversation_margin >= overhead, ConfigError, "evaluation.buckets.conversation_margin ",
                buckets().conversation_margin, ": the template alone takes ", overhead, " tokens (raise it to that)");
  }

  void check_positions(std::int64_t length) const {
    const std::int64_t positions = experiment_.decoder->config().max_positions;
    const std::int64_t context = buckets().context_margin + experiment_.hypernetwork->memory_tokens();
    const std::int64_t needed = length + std::max(context, buckets().conversation_margin);
    SHINE_CHECK(positions <= 0 || needed <= positions, ConfigError, "evaluation.buckets: a text of ", length,
                " tokens needs ", needed, " positions with margin and memory tokens, the backbone has ", positions,
                " (lower evaluation.buckets.last)");
  }

  void add_units(std::size_t bucket, const std::vector<Method>& methods) {
    const EvaluationConfig& evaluation = experiment_.config.evaluation;
    const std::vector<std::size_t> texts =
        texts_.choose(bucket, evaluation.limit, static_cast<std::uint64_t>(evaluation.seed));
    const std::int64_t length = texts_.lengths()[bucket];
    log_info(str("bucket of ", length, " tokens: ", texts.size(), " texts"));
    if (texts.empty()) return;
    check_positions(length);
    const auto rows = static_cast<std::size_t>(evaluation.batch_size);
    for (const PretrainTask task : {PretrainTask::reconstruction, PretrainTask::completion}) {
      for (const Method method : methods) {
        const std::size_t shift = method == Method::shuffled ? 1 : 0;
        if (shift > 0 && texts.size() < 2) {
          if (task == PretrainTask::reconstruction) {
            log_warning(str("bucket of ", length,
                            " tokens: method shuffled is left out, it takes the LoRA of another text and there is only "
                            "one (name more data, or raise --limit)"));
          }
          continue;
        }
        for (std::size_t start = 0; start < texts.size(); start += rows) {
          Unit unit{bucket, task, method, {}, {}};
          for (std::size_t i = start; i < std::min(texts.size(), start + rows); ++i) {
            unit.texts.push_back(texts[i]);
            unit.contexts.push_back(texts[(i + shift) % texts.size()]);
          }
          units_.push_back(std::move(unit));
        }
      }
    }
  }

  Sample sample(const Unit& unit, std::size_t text) const {
    const ExperimentConfig& config = experiment_.config;
    PretrainOptions options = pretrain_options(experiment_);
    options.context_max_length = length(unit) + buckets().context_margin;
    options.conversation_max_length = length(unit) + buckets().conversation_margin;
    options.seed = static_cast<std::uint64_t>(config.evaluation.seed);
    return bucket_sample(texts_.cut(text, unit.bucket), text, unit.task, experiment_.tokenizer, options);
  }

  const Experiment& experiment_;
  BucketTexts texts_;
  std::vector<Unit> units_;
};

/// Scores units on any rank; rank 0 writes them as they come.
class ReconstructionScoring : public UnitWork {
 public:
  /// @param folder  rank 0's; null on the others
  ReconstructionScoring(const ReconstructionEvaluator& evaluator, const ResultsFolder* folder) : evaluator_(evaluator) {
    if (folder == nullptr) return;
    const std::filesystem::path path = folder->file(kLossesFile);
    if (folder->goes_on()) {
      keep_whole_units(read_losses(path));
      log_info(str("going on: ", kept_units_, " of ", units(), " batches are done"));
    }
    file_.emplace(path, lines(records_));
  }

  std::size_t units() const override { return evaluator_.units().size(); }

  std::optional<std::vector<std::string>> run(std::size_t unit) override {
    return std::vector{lines(evaluator_.run(evaluator_.units()[unit]))};
  }

  std::string keep(std::size_t number, const std::vector<std::string>& results) override {
    const std::vector<LossRecord> records = parse_losses(results.at(0), str("the results of batch ", number + 1));
    file_->append(results.at(0));
    records_.insert(records_.end(), records.begin(), records.end());
    const Unit& unit = evaluator_.units()[number];
    return str(evaluator_.length(unit), " tokens  ", enum_name(unit.task), "  ", enum_name(unit.method),
               format("  loss %.4f", records.at(0).loss));
  }

  std::size_t kept_units() const { return kept_units_; }
  const std::vector<LossRecord>& records() const { return records_; }

 private:
  static std::string lines(const std::vector<LossRecord>& records) {
    std::string text;
    for (const LossRecord& record : records) text += record_json(record) + "\n";
    return text;
  }

  /// Takes over the leading complete units; the rest is scored again in the same batches.
  void keep_whole_units(const std::vector<LossRecord>& earlier) {
    for (const Unit& unit : evaluator_.units()) {
      if (earlier.size() - records_.size() < unit.texts.size()) return;
      for (const std::size_t text : unit.texts) {
        const LossRecord& record = earlier[records_.size()];
        SHINE_CHECK(record.text == static_cast<std::int64_t>(text) && record.length == evaluator_.length(unit) &&
                        record.task == unit.task && record.method == unit.method,
                    FormatError, kLossesFile, ": record ", records_.size() + 1,
                    " is not of this test (remove the file to start anew)");
        records_.push_back(record);
      }
      ++kept_units_;
    }
  }

  const ReconstructionEvaluator& evaluator_;
  std::vector<LossRecord> records_;
  std::size_t kept_units_ = 0;
  std::optional<LineFile> file_;
};

}  // namespace

EvaluationOutcome evaluate_reconstruction(const ExperimentConfig& config, bool resume, Rank& rank) {
  SHINE_CHECK(make_stage_builder(config)->has_hypernetwork(), ConfigError, "stage.name: stage ",
              enum_name(config.stage.name), " has no LoRA to test (name the configuration of another stage)");
  const std::vector<Method> methods = methods_of(config.evaluation);
  const std::vector<std::int64_t> lengths = bucket_lengths(config.evaluation.buckets);
  const std::vector<std::filesystem::path> files(config.evaluation.data.begin(), config.evaluation.data.end());
  Documents documents = read_documents(files, {config.data.separator, 0});
  const WeightsSource weights = find_evaluated_weights(config, "train it, or name another --checkpoint");
  const ReportLabels labels = report_labels(config, kTest, weights);
  const EvaluationIdentity identity{"shine_test_pretrain", config,
                                    content_fingerprints(config, fingerprint_of(documents.texts), weights)};
  const std::filesystem::path path = results_path(config, kTest);
  const auto folder = open_results(rank.group(), path, identity, kLossesFile, resume);
  log_info("weights: " + weights.note);
  if (folder) warn_about_trained_texts(documents.texts, weights.folder);
  log_left_out(config.evaluation);
  StopSignals signals;
  const Experiment experiment = build_model(rank.own_config(config), weights);
  log_info(str(labels.data_set, ": ", documents.texts.size(), " texts (", documents.empty, " empty ones left out, ",
               documents.repaired, " with repaired UTF-8)"));
  const ReconstructionEvaluator evaluator(
      experiment, BucketTexts(std::move(documents.texts), *experiment.tokenizer, lengths, special_tokens(config.text)),
      methods);
  signals.hold();
  ReconstructionScoring scoring(evaluator, folder.get());
  const UnitsDone done = run_units(
      rank.group(), scoring, scoring.kept_units(), [&] { return signals.received(); }, config.logging.progress);
  if (done.stopped_by.empty()) rank.leave();
  EvaluationOutcome outcome{path, done.stopped_by, ""};
  if (!folder) return outcome;
  const std::vector<PerplexityRow> rows = perplexity_rows(scoring.records());
  write_perplexity(rows, labels, path);
  outcome.report = perplexity_markdown(rows, labels);
  return outcome;
}

}  // namespace shine
