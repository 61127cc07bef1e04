#pragma once

#include <string>
#include <string_view>

namespace shine {

/// The text that a JSON string stands for ("\"a\\n\"" -> a, newline). Bytes that are not valid UTF-8 and escapes of
/// single surrogates, which other writers let through, become U+FFFD.
/// @param where  start of error messages; throws FormatError where `json` is not one JSON string
std::string parse_json_text(std::string_view json, const std::string& where);

}  // namespace shine
