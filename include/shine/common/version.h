#pragma once

#include <string>

#include "shine/common/api.h"

namespace shine {

/// "0.1.0 (1a2b3c4d5e6f)": the release and the git revision it was built from, with "-changed" if files had been
/// changed; "unknown" outside a checkout.
SHINE_API std::string version();

}  // namespace shine
