#pragma once

#include <string>
#include <string_view>

#include "shine/common/api.h"

namespace shine {

/// The JSON text with U+FFFD for what other writers let through: bytes that are not valid UTF-8 (each maximal part) and
/// escapes of single surrogates. Well-formed JSON comes back as it is.
std::string repair_json(std::string_view json);

/// The text that a JSON string stands for ("\"a\\n\"" -> a, newline). It is repaired as by repair_json.
/// @param where  start of error messages; throws FormatError where `json` is not one JSON string
SHINE_API std::string parse_json_text(std::string_view json, const std::string& where);

}  // namespace shine
