#include "text/added_token_json.h"

#include <nlohmann/json.hpp>

#include "io/json/json_file.h"
#include "shine/common/error.h"

namespace shine {
namespace {

constexpr std::size_t kLongestAddedToken = 1024;
constexpr std::size_t kMostAddedBytes = std::size_t{4} << 20;

}  // namespace

AddedToken AddedTokenText::complete(bool special) const {
  AddedToken result = token;
  result.special = special;
  result.normalized = normalized.value_or(!special);
  return result;
}

AddedTokenText read_added_token(const nlohmann::json& object, const std::string& where) {
  AddedTokenText text;
  text.token.content = get_string(object, "content", where);
  text.token.special = get_bool_or(object, "special", false, where);
  text.token.single_word = get_bool_or(object, "single_word", false, where);
  text.token.lstrip = get_bool_or(object, "lstrip", false, where);
  text.token.rstrip = get_bool_or(object, "rstrip", false, where);
  if (has_value(object, "normalized", where)) text.normalized = get_bool(object, "normalized", where);
  return text;
}

void AddedTokenBudget::take(const std::string& content, const std::string& where) {
  SHINE_CHECK(content.size() <= kLongestAddedToken, FormatError, where, ": an added token of ", content.size(),
              " bytes, expected at most ", kLongestAddedToken);
  bytes_ += content.size();
  SHINE_CHECK(bytes_ <= kMostAddedBytes, FormatError, where, ": more than ", kMostAddedBytes, " bytes of added tokens");
}

}  // namespace shine
