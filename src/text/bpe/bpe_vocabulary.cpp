#include "text/bpe/bpe_vocabulary.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "io/json/quote_text.h"
#include "shine/common/error.h"

namespace shine {
namespace {

constexpr std::int64_t kLargestId = std::numeric_limits<std::int32_t>::max() - 1;

}  // namespace

std::int32_t checked_id(std::int64_t id, const std::string& where) {
  if (id < 0 || id > kLargestId) throw FormatError(str("token id ", id, " is out of range"), where);
  return static_cast<std::int32_t>(id);
}

StringMap<std::int32_t> read_vocabulary(const nlohmann::json& object, const std::string& where) {
  if (!object.is_object()) throw FormatError(str("expected an object, found ", object.type_name()), where);
  StringMap<std::int32_t> vocabulary;
  vocabulary.reserve(object.size());
  for (const auto& [token, id] : object.items()) {
    if (!id.is_number_integer()) throw FormatError(str("the id of ", quote_text(token), " is no integer"), where);
    vocabulary.emplace(token, checked_id(id.get<std::int64_t>(), where));
  }
  return vocabulary;
}

BpeMerge make_merge(const StringMap<std::int32_t>& vocabulary, std::string_view left, std::string_view right,
                    const std::string& where) {
  const auto id_of = [&](std::string_view token) {
    const auto found = vocabulary.find(token);
    if (found == vocabulary.end()) throw FormatError(str(quote_text(token), " is not in the vocabulary"), where);
    return found->second;
  };
  return {id_of(left), id_of(right), id_of(std::string(left).append(right))};
}

}  // namespace shine
