#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "shine/config/evaluation_config.h"

namespace shine {

/// What ended an answer: a stop token, the most tokens that it may have (or the model's positions), or the reader.
enum class AnswerEnd { stop, length, interrupted };
constexpr std::array<std::string_view, 3> config_names(AnswerEnd) {
  return {"stop", "length", "interrupted"};
}

/// One method's answer to one question.
struct Answer {
  Method method = Method::naive;
  std::string question;
  std::string text;  ///< without special tokens, not cleaned
  std::vector<std::int64_t> prompt_ids;
  std::vector<std::int64_t> ids;  ///< without the stop token
  AnswerEnd end = AnswerEnd::stop;
  std::int64_t turns_left_out = 0;   ///< of the conversation so far, where the prompt was too long
  bool over_long = false;            ///< the question alone was too long and was asked whole
  double first_token_seconds = 0.0;  ///< from the question to its answer's first token (or its end, if it has none)
  double seconds = 0.0;              ///< to the whole answer

  /// Tokens behind the first by the time behind it; 0 where there are none.
  double tokens_per_second() const {
    const double writing = seconds - first_token_seconds;
    return ids.size() < 2 || writing <= 0.0 ? 0.0 : static_cast<double>(ids.size() - 1) / writing;
  }
};

}  // namespace shine
