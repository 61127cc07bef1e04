#pragma once

#include <string>
#include <string_view>

namespace shine {

/// Foreign text for a message: between backquotes, on one line, control characters as \xNN, cut after 80 bytes.
std::string quote(std::string_view text);

}  // namespace shine
