#include "text/json_text.h"

#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

#include "io/json/json_file.h"
#include "shine/common/error.h"
#include "text/unicode/utf8.h"

namespace shine {
namespace {

constexpr std::size_t kEscapeLength = 6;  // \uXXXX

// The code unit of an escape \uXXXX at a place.
std::optional<unsigned> unicode_escape(std::string_view json, std::size_t at) {
  if (at + kEscapeLength > json.size() || json.substr(at, 2) != "\\u") return std::nullopt;
  unsigned unit = 0;
  const char* const end = json.data() + at + kEscapeLength;
  const auto [stop, error] = std::from_chars(json.data() + at + 2, end, unit, 16);
  if (error != std::errc() || stop != end) return std::nullopt;
  return unit;
}

bool is_high(unsigned unit) {
  return unit >= 0xD800 && unit < 0xDC00;
}
bool is_low(unsigned unit) {
  return unit >= 0xDC00 && unit < 0xE000;
}

std::string replace_single_surrogates(std::string json_text) {
  const std::string_view json = json_text;
  if (json.find("\\u") == std::string_view::npos) return json_text;
  std::string result;
  result.reserve(json.size());
  for (std::size_t at = 0; at < json.size();) {
    std::size_t length = json[at] == '\\' ? 2 : 1;
    if (const auto unit = unicode_escape(json, at)) {
      const auto next = unicode_escape(json, at + kEscapeLength);
      const bool is_pair = is_high(*unit) && next && is_low(*next);
      length = is_pair ? 2 * kEscapeLength : kEscapeLength;
      if (!is_pair && (is_high(*unit) || is_low(*unit))) {
        result += "\\ufffd";
        at += length;
        continue;
      }
    }
    result += json.substr(at, length);
    at += length;
  }
  return result;
}

}  // namespace

std::string repair_json(std::string_view json) {
  return replace_single_surrogates(replace_invalid_utf8(json));
}

std::string parse_json_text(std::string_view json, const std::string& where) {
  const nlohmann::json value = parse_json(repair_json(json), where);
  if (!value.is_string()) throw FormatError(str("expected a JSON string, found ", value.type_name()), where);
  return value.get<std::string>();
}

}  // namespace shine
