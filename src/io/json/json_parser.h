#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "io/json/json_file.h"

namespace shine {

/// parse_json for a text whose first line is line `first_line` of the file.
nlohmann::json parse_json_from_line(std::string_view text, const std::string& where, std::size_t first_line,
                                    std::size_t max_values = kMaxJsonValues);

/// The text with strings of the same length in place of NaN, Infinity and -Infinity, for a parser that does not know
/// them.
std::string quote_python_numbers(std::string_view text);

}  // namespace shine
