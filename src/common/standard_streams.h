#pragma once

#include "shine/common/api.h"

namespace shine {

/// Takes the numbers 0, 1 and 2 where the caller closed standard input, output or error (`program >&-`): else the next
/// file that is opened would be one of them, and get what is printed. As on a closed stream, reading or writing there
/// fails. Allocates nothing.
SHINE_API void fill_standard_streams() noexcept;

}  // namespace shine
