#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "eval/qa/answer_options.h"
#include "eval/qa/dialogue_prompts.h"
#include "eval/qa/qa_contexts.h"
#include "eval/report/answer_records.h"

namespace shine {

struct ContextAnswers;
struct PreparedLoras;
struct SftTask;

struct QaEvaluationOptions {
  QaForm form = QaForm::multi_turn;
  std::vector<Method> methods;
  EvaluationConfig evaluation;
  ChatRules chat{};
  std::function<bool()> stop{};  ///< asked between turns and SFT steps; may be absent
};

/// Contexts that one method answers together.
struct QaUnit {
  Method method = Method::naive;
  std::size_t batch = 0;              ///< number of the batch
  std::vector<std::size_t> contexts;  ///< of the evaluator's
  std::size_t lanes = 1;              ///< rows of each
};

/// A prompt and what was generated after it, as ids.
struct PromptRecord {
  Method method = Method::naive;
  std::string item;
  std::int64_t conversation = 0, turn = 0;
  std::vector<std::int64_t> prompt_ids, ids;
};

struct QaUnitResults {
  EvaluationResults records;
  std::vector<PromptRecord> prompts;  ///< one per answer
};

/// Contexts that a method cannot be asked about.
struct LeftOut {
  std::size_t contexts = 0;
  std::string first;   ///< id
  std::string reason;  ///< of the first
};

/// Asks every method every question, in batches of contexts: all methods of a batch before the next batch, so that the
/// methods of an interrupted run can still be compared.
class QaEvaluator {
 public:
  /// Plans the units. Throws ConfigError: a prompt without its mark, a stop token the tokenizer lacks, method shuffled
  /// with one context, shine or shuffled without a hypernetwork, no context that any method can be asked about.
  /// @param models  what they name must outlive the evaluator
  QaEvaluator(const QaModels& models, std::vector<QaContext> contexts, QaEvaluationOptions options);

  const std::vector<QaContext>& contexts() const { return contexts_; }
  const std::vector<QaUnit>& units() const { return units_; }
  const std::map<Method, LeftOut>& left_out() const { return left_out_; }

  /// Answers of a unit, independent of what ran before. Returns nothing if asked to stop.
  std::optional<QaUnitResults> run(const QaUnit& unit) const;

  /// Warm-up: one short answer by each method, discarded.
  void warm_up() const;

  /// Hash of everything that shapes an answer beside its prompt.
  const std::string& decoding_hash() const { return decoding_hash_; }

 private:
  void add_method(Method method);
  void plan();
  std::string obstacle(Method method, std::size_t context) const;
  std::string token_without_row(Method method, std::size_t context, std::int64_t highest_prompt_id) const;
  std::vector<std::int64_t> generated_from(const QaUnit& unit, std::size_t context) const;
  SftTask sft_task(std::size_t context) const;
  std::optional<PreparedLoras> prepare(const QaUnit& unit) const;
  std::optional<std::vector<ContextAnswers>> ask(const QaUnit& unit, const LoraTree& loras) const;

  QaModels models_;
  std::vector<QaContext> contexts_;
  QaEvaluationOptions options_;
  AnswerOptions answer_options_;
  std::string decoding_hash_;
  std::map<Method, DialoguePrompts> prompts_;
  std::vector<std::size_t> others_;           ///< shuffled: whose LoRA each context gets
  std::vector<std::int64_t> context_tokens_;  ///< of each context
  std::vector<QaUnit> units_;
  std::map<Method, LeftOut> left_out_;
};

/// {"item", "conversation", "turn", "method", "prompt_ids", "ids"}, without the newline.
std::string prompt_json(const PromptRecord& record);

}  // namespace shine
