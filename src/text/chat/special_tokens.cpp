#include "shine/text/special_tokens.h"

#include <array>

#include "shine/common/error.h"

namespace shine {

TaskTokens add_task_tokens(Tokenizer& tokenizer) {
  std::array<AddedToken, 3> tokens;
  tokens[0].content = kReconstruct;
  tokens[1].content = kComplete;
  tokens[2].content = kNothing;
  const std::vector<std::int64_t> ids = tokenizer.add_tokens(tokens);
  return {ids[0], ids[1], ids[2]};
}

std::int64_t require_token(const Tokenizer& tokenizer, std::string_view token) {
  const auto id = tokenizer.token_to_id(token);
  if (!id)
    throw ConfigError(str("the tokenizer has no token ", token), {},
                      "use the model's own tokenizer, or set text.chat_format");
  return *id;
}

}  // namespace shine
