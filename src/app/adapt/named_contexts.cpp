#include "app/adapt/named_contexts.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "io/json/json_file.h"
#include "io/json/jsonl.h"
#include "io/json/quote_text.h"
#include "shine/common/error.h"

namespace shine {
namespace {

constexpr std::size_t kMaxIdBytes = 200;

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

bool is_file_name(const std::string& id) {
  return !id.empty() && id.size() <= kMaxIdBytes && id.front() != '.' && id.front() != '-' && id != "lock" &&
         std::all_of(id.begin(), id.end(), is_plain);
}

}  // namespace

std::vector<IdentifiedContext> read_identified_contexts(const std::filesystem::path& file) {
  std::vector<IdentifiedContext> contexts;
  std::map<std::string, std::string> place_of;
  const auto take = [&](std::size_t line, const nlohmann::json& value) {
    const std::string where = str(file.string(), ":", line);
    const std::string& id = get_string(value, "id", where);
    if (!is_file_name(id)) {
      throw ConfigError(str("id ", quote_text(id), " is no plain file name"), where,
                        "1 to 200 letters, digits, '.', '_' and '-', the first none of '.' and '-', and not \"lock\"");
    }
    const auto [known, is_new] = place_of.emplace(id, where);
    if (!is_new)
      throw ConfigError(str("id ", quote_text(id), " stands in ", known->second, " too"), where, "rename one");
    contexts.push_back({id, get_string(value, "context", where), where});
  };
  read_jsonl(file, take, TextForm::utf8);
  SHINE_CHECK(!contexts.empty(), ConfigError, file.string(),
              ": no context (a line each, {\"id\": .., \"context\": ..})");
  return contexts;
}

}  // namespace shine
