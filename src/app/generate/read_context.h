#pragma once

#include <string>

#include "shine/common/api.h"

namespace shine {

/// The text of a file, or of standard input where `file` is "-", without the line ends at its end; `~` at the start of
/// a file's name is the home folder. Throws IoError, FormatError (no text; too much of it), ConfigError (no home).
SHINE_API std::string read_context(const std::string& file);

}  // namespace shine
