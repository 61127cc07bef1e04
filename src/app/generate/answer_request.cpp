#include "app/generate/answer_request.h"

#include <algorithm>
#include <sstream>

#include "config/enum_value.h"
#include "shine/common/error.h"
#include "shine/common/str.h"

namespace shine {
namespace {

constexpr const char* kHelp = "see shine_generate --help";

bool has(const std::vector<Method>& methods, Method method) {
  return std::find(methods.begin(), methods.end(), method) != methods.end();
}

void require(bool given, Method method, const char* option) {
  if (given) return;
  throw ConfigError(str("method ", enum_name(method), " needs ", option), "command line", kHelp);
}

void require_effect(bool given, bool effect, const char* option, const char* without) {
  if (!given || effect) return;
  throw ConfigError(str(option, " has no effect without ", without), "command line", "remove it");
}

}  // namespace

std::vector<Method> parse_methods(const std::string& list) {
  std::string spaced = list;
  std::replace(spaced.begin(), spaced.end(), ',', ' ');
  std::istringstream names(spaced);
  std::vector<Method> methods;
  for (std::string name; names >> name;) {
    const auto method = enum_value<Method>(name);
    if (!method || *method == Method::sft) {
      throw ConfigError(str("method ", name, ": expected naive, in_context, shine or shuffled"));
    }
    if (!has(methods, *method)) methods.push_back(*method);
  }
  SHINE_CHECK(!methods.empty(), ConfigError, "name at least one method: naive, in_context, shine or shuffled");
  return methods;
}

void check_request(const AnswerRequest& request) {
  const bool shine = has(request.methods, Method::shine), shuffled = has(request.methods, Method::shuffled);
  const bool context = !request.context.empty(), adapter = !request.adapters.empty();
  require_effect(!request.other_context.empty(), shuffled, "--other-context", "method shuffled");
  require_effect(request.any_backbone, adapter || request.chat, "--any-backbone", "--adapter");
  require(!shuffled || !request.other_context.empty(), Method::shuffled, "--other-context");
  if (request.chat) {
    if (request.context == "-") {
      throw ConfigError("--context - and --chat both read standard input", "command line",
                        "give the context as a file");
    }
    return;
  }
  if (request.questions.empty())
    throw ConfigError("there is nothing to ask", "command line", "give --question or --chat");
  require(!has(request.methods, Method::in_context) || context, Method::in_context, "--context");
  require(!shine || context || adapter, Method::shine, "--context or --adapter");
  require_effect(adapter, shine, "--adapter", "method shine");
  const bool read = has(request.methods, Method::in_context) || (shine && !adapter);
  require_effect(context, read, "--context", "method in_context, or shine without --adapter");
  require_effect(!request.checkpoint.empty(), needs_weights(request), "--checkpoint", "a LoRA to generate");
  require_effect(request.over_long, needs_weights(request), "--over-long", "a LoRA to generate");
}

bool needs_weights(const AnswerRequest& request) {
  if (request.chat && !request.checkpoint.empty()) return true;
  if (has(request.methods, Method::shuffled)) return true;
  return has(request.methods, Method::shine) && request.adapters.empty();
}

}  // namespace shine
