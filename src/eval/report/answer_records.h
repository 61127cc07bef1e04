#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "shine/config/evaluation_config.h"

namespace shine {

/// One answer: a question asked by one method. A line {"kind": "answer", ..} of answers.jsonl.
struct AnswerRecord {
  Method method = Method::naive;
  std::string item;               ///< id of the context's item
  std::int64_t conversation = 0;  ///< its number in the item, from 0; 0 where a line has none
  std::int64_t turn = 0;          ///< the question's number in its conversation, from 0
  std::string source;             ///< of the item
  std::string question;
  std::vector<std::string> answers;  ///< that count as right
  std::string raw;                   ///< as generated
  std::string answer;                ///< cleaned
  double f1 = 0.0;
  double exact = 0.0;
  std::string prompt_hash;    ///< of the prompt's ids
  std::string decoding_hash;  ///< of decoding options and stop tokens
  std::int64_t prompt_tokens = 0;
  std::int64_t new_tokens = 0;
  bool stopped = false;  ///< by a stop token
};

/// What one method cost for one context. A line {"kind": "context", ..}; written after the answers of that context, of
/// which it says that they are complete.
struct ContextRecord {
  Method method = Method::naive;
  std::string item;
  std::int64_t context_tokens = 0;
  std::int64_t context_tokens_cut = 0;
  std::int64_t turns_left_out = 0;         ///< oldest turns that did not fit into a prompt, summed over questions
  std::int64_t questions_over_long = 0;    ///< asked whole, longer than the window without any turn before them
  std::int64_t sft_conversations_cut = 0;  ///< sft: conversations trained on that were cut at the model's positions
  double prepare_seconds = 0.0;            ///< generating or training the LoRA
  double answer_seconds = 0.0;             ///< all questions; of a batch, its time divided by its contexts
  /// Highest memory while preparing and answering the whole batch, above what was resident before.
  std::int64_t peak_bytes = 0;
  std::int64_t batch_contexts = 0;  ///< contexts of the batch; 0 where a line does not say
  double sft_loss = 0.0;            ///< sft: loss on the real questions after training, else NaN
  double sft_loss_before = std::numeric_limits<double>::quiet_NaN();  ///< the same without the LoRA
};

/// All records of one evaluation. Several may be kept in one folder each.
struct EvaluationResults {
  std::vector<AnswerRecord> answers;
  std::vector<ContextRecord> contexts;
};

/// A record as one line of JSON, without the newline; NaN is null, bytes that are not UTF-8 are U+FFFD.
std::string record_json(const AnswerRecord& record);
std::string record_json(const ContextRecord& record);

/// All contexts as lines, each after its answers: what a file that an evaluation goes on with has to begin with.
std::string results_text(const EvaluationResults& results);

/// Reads a file of both kinds of lines; answers whose context line is missing (an evaluation that was cut off) and a
/// last line without its newline are left out. A method's answers to a context come in the order of their conversations
/// and turns; where a turn was answered twice before the context's line, the later answer counts. Throws IoError (no
/// file) and FormatError naming file and line (not such a line, a value out of its range, a context that a method has
/// been tested on twice).
EvaluationResults read_results(const std::filesystem::path& file);

/// The same for the lines themselves, all of them whole. Throws FormatError naming `where` and the line.
EvaluationResults parse_results(std::string_view lines, const std::string& where);

}  // namespace shine
