#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "eval/qa/qa_evaluator.h"

namespace shine {

/// With what a unit's questions are asked.
struct Asking {
  Method method = Method::naive;
  const DialoguePrompts& prompts;
  PromptLimits limits;
  GenerationOptions generation;  ///< its seed is mixed with the number of the round
  ScoreForm score = ScoreForm::squad;
  std::string decoding_hash;
  std::function<bool()> stop{};
};

/// Contexts that are asked together, with `lanes` rows each.
struct AskedContexts {
  std::vector<const QaContext*> contexts;
  std::vector<std::int64_t> tokens;  ///< of each
  std::size_t lanes = 1;
};

/// The answers to one context's questions, conversation by conversation.
struct ContextAnswers {
  std::vector<AnswerRecord> answers;
  std::vector<PromptRecord> prompts;
  std::int64_t turns_left_out = 0;
  std::int64_t questions_over_long = 0;
};

/// Asks all dialogues turn by turn, the rows of all contexts together; the history of a dialogue holds its own earlier
/// answers, cleaned. A context's dialogues are distributed round-robin over its rows. Returns nothing if asked to stop.
/// @param lora  null, or one adapter per context
std::optional<std::vector<ContextAnswers>> ask_dialogues(const QaModels& models, const LoraTree* lora,
                                                         const AskedContexts& asked, const Asking& asking);

}  // namespace shine
