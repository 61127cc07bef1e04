#pragma once

#include <string>
#include <string_view>

#include "shine/common/api.h"

namespace shine {

/// Names this process among those of its job in messages, such as "rank 1 of 2"; empty (the initial value) for a job of
/// one process. Set once, before other threads are started.
/// @param first  whether this process speaks for all: the others leave notices to it, and give it time to
///               say what went wrong before they say it themselves
void set_process_label(std::string label, bool first = true);
SHINE_API std::string_view process_label();
SHINE_API bool is_first_process();

}  // namespace shine
