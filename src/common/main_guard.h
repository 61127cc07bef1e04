#pragma once

#include <exception>
#include <functional>
#include <string_view>

#include "shine/common/api.h"

namespace shine {

/// The only place that catches: runs a program's body and returns its exit status. A shine::Error, a refusal
/// of the system and a lack of memory become one line "program: error: ..." on standard error and status 1; any other
/// exception is called an internal error, status 2. The process label, if there is one, comes before "error", and the
/// line goes to the log files too. Most faults meet all processes of a job alike, and launchers end the others once one
/// has failed: those that are not the first (process_label.h) wait two seconds before they print. A file limit
/// (SIGXFSZ) becomes an ordinary write error, and a mapped file that somebody shortens (SIGBUS) one line and status 1.
/// @param memory_cure  what a user can do when memory runs out
SHINE_API int run_main(std::string_view program, const std::function<int()>& body, std::string_view memory_cure = "");

/// Ends the process with status 1 at once, from any thread, also one beside a main that hangs: nothing is destroyed,
/// and nobody is waited for, but for two seconds for the log files. The first line of `fault` (LibTorch's messages
/// carry a stack trace below it) is written as run_main writes an Error's message; without a program where none runs.
[[noreturn]] void end_process(std::string_view fault) noexcept;

}  // namespace shine
