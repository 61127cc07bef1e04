#include "app/adapt/context_ids.h"

#include <algorithm>

#include "app/build/special_token_use.h"
#include "shine/common/error.h"

namespace shine {

ContextIds encode_context(const Experiment& experiment, const NamedText& context, LongContext over_long) {
  SHINE_CHECK(experiment.hypernetwork, ConfigError,
              "stage backbone generates no LoRA (name a checkpoint of another stage)");
  const ExperimentConfig& config = experiment.config;
  ContextIds result{experiment.tokenizer->encode(context.text, special_tokens(config.text)).ids, 0};
  SHINE_CHECK(!result.ids.empty(), ConfigError, context.name, ": the context is empty (give a text)");
  const auto length = static_cast<std::int64_t>(result.ids.size());
  const std::int64_t limit = config.evaluation.context_max_length;
  SHINE_CHECK(length <= limit || over_long == LongContext::cut, ConfigError, context.name, ": the context has ", length,
              " tokens, more than evaluation.context_max_length ", limit,
              " (shorten it, raise the limit, or cut it by --over-long cut)");
  const std::int64_t kept = std::min(length, limit);
  const std::int64_t memory = experiment.hypernetwork->memory_tokens();
  const std::int64_t positions = experiment.decoder->config().max_positions;
  SHINE_CHECK(positions <= 0 || kept + memory <= positions, ConfigError, context.name, ": the context has ", kept,
              " tokens, with ", memory, " memory tokens more than the backbone's ", positions,
              " positions (shorten it, or set evaluation.context_max_length=", positions - memory, ")");
  result.cut = length - kept;
  result.ids.resize(static_cast<std::size_t>(kept));
  return result;
}

}  // namespace shine
