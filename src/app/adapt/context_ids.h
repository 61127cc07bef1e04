#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "shine/app/builders.h"
#include "shine/common/api.h"

namespace shine {

/// A context and what it is called.
struct NamedText {
  std::string name, text;
};

/// What happens to a context of more than evaluation.context_max_length tokens.
enum class LongContext { error, cut };
constexpr std::array<std::string_view, 2> config_names(LongContext) {
  return {"error", "cut"};
}

/// A context as the hypernetwork reads it.
struct ContextIds {
  std::vector<std::int64_t> ids;
  std::int64_t cut = 0;  ///< tokens left out at the end
};

/// Throws ConfigError for a text without a token, one over the limit with LongContext::error, and one that is longer
/// than the backbone's positions with the memory tokens; for a stage that generates no LoRA, too.
SHINE_API ContextIds encode_context(const Experiment& experiment, const NamedText& context, LongContext over_long);

}  // namespace shine
