#pragma once

#include <string>

namespace shine {

/// "0.1.0 (1a2b3c4d)": the release and the git revision it was configured from; "unknown" outside a checkout.
std::string version();

}  // namespace shine
