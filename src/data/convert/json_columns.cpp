#include "data/convert/json_columns.h"

#include <nlohmann/json.hpp>

#include "io/json/json_file.h"
#include "shine/common/error.h"

namespace shine {
namespace {

nlohmann::json parse_inner(const JsonCursor& at) {
  if (!at.value().is_string()) return {};
  try {
    return parse_json(at.text(), at.place());
  } catch (const FormatError&) {
    at.fail("the string holds no JSON", "write it by json.dumps; str() of Python gives single quotes");
  }
}

}  // namespace

UnfoldedJson::UnfoldedJson(const JsonCursor& at)
    : inner_(parse_inner(at)), where_(at.place()), cursor_(at.value().is_string() ? JsonCursor(inner_, where_) : at) {}

}  // namespace shine
