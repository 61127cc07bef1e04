#pragma once

#include <exception>
#include <functional>
#include <string_view>

#include "shine/common/api.h"

namespace shine {

/// The only place that catches: runs a program's body and returns its exit status. A shine::Error, a system error,
/// running out of memory (memory_guard.h too) and output that could not be written to standard output become one line
/// "program: error: ..." on standard error and status 1; any other exception is an internal error, status 2. Standard
/// streams that were closed are filled (standard_streams.h). The process label, if there is one, comes before "error",
/// and the line goes to the log files too. Most faults hit all processes of a job alike, and launchers end the others
/// once one has failed: all but the first process (process_label.h) wait two seconds before they print. Exceeding the
/// file size limit (SIGXFSZ) becomes an ordinary write error; a mapped file that is shortened meanwhile (SIGBUS), one
/// line and status 1.
/// @param memory_cure  what the user can do when memory runs out
SHINE_API int run_main(std::string_view program, const std::function<int()>& body, std::string_view memory_cure = "");

/// From now on run_main ends a process with a fault at once, without destroying static objects: threads that cannot be
/// joined still use them.
void keep_static_objects() noexcept;

/// Ends the process with status 1 at once, from any thread, even while the main thread hangs: nothing is destroyed, and
/// only the log files are waited for, two seconds at most. The first line of `fault` (LibTorch's messages carry a stack
/// trace below it) is written as run_main writes an Error's message; without a program's name outside run_main.
[[noreturn]] void end_process(std::string_view fault) noexcept;

}  // namespace shine
