#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace shine {

/// GPT-2's alphabet: every byte is spelled as one printable character (space as "Ġ").
std::string spell_bytes(std::string_view bytes);

/// The bytes of a spelled token; none if a character is not of the alphabet.
std::optional<std::string> unspell_bytes(std::string_view spelled);

}  // namespace shine
