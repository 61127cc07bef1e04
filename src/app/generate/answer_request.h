#pragma once

#include <string>
#include <vector>

#include "shine/common/api.h"
#include "shine/config/evaluation_config.h"

namespace shine {

/// What shine_generate was asked for.
struct AnswerRequest {
  std::vector<Method> methods = {Method::shine};
  std::string checkpoint, context, other_context;  ///< as given; empty: not given
  std::vector<std::string> adapters;               ///< PATH[:WEIGHT]
  std::vector<std::string> questions;
  bool chat = false;
  bool over_long = false, any_backbone = false;  ///< whether the option was given
};

/// The methods of a list with commas or spaces between, each once. Throws ConfigError for a name that is none, and for
/// sft, whose training this program does not do.
SHINE_API std::vector<Method> parse_methods(const std::string& list);

/// Throws ConfigError where there is nothing to ask, where a method lacks what it needs, and for an option without
/// effect. A chat can be given contexts and adapters later.
SHINE_API void check_request(const AnswerRequest& request);

/// Whether trained weights are needed.
SHINE_API bool needs_weights(const AnswerRequest& request);

}  // namespace shine
