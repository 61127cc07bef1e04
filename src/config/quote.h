#pragma once

#include <string>
#include <string_view>

namespace shine {

/// Untrusted text for a message: in backquotes, on one line, control characters as \xNN, cut after 80 bytes.
std::string quote(std::string_view text);

}  // namespace shine
