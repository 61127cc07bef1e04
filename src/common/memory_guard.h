#pragma once

#include <string_view>

#include "shine/common/api.h"

namespace shine {

/// Makes one line and status 1 of faults that no `catch` meets: memory that runs out in a library's initialisation
/// before main, in a thread, or in a library that goes on with what it was not given (a segmentation fault, taken for
/// this where the system then grants no memory), and a thread that cannot be started there. Any other such fault ends
/// the process as before, with a core. May be called before libraries are initialised: it allocates nothing.
SHINE_API void guard_memory() noexcept;

/// Before them in those lines, for signal handlers and threads: the program's name, and behind "out of memory" what the
/// user can do. Without it: the name of the program's file.
void name_program(std::string_view program, std::string_view memory_cure);
std::string_view program_name();

/// Writes "program: label: error: fault" and a newline to standard error; for signal handlers, allocates nothing.
void write_fault(std::string_view kind, std::string_view fault, std::string_view cure = {}) noexcept;

/// What std::bad_alloc and other exceptions for want of memory are called.
inline constexpr std::string_view kOutOfMemory = "out of memory";

/// Whether the text of an exception says that memory could not be had.
bool is_memory_fault(std::string_view what);

/// What a refused thread is called, and what helps.
inline constexpr std::string_view kNoThread = "no further thread can be started";
inline constexpr std::string_view kNoThreadCure =
    "allow more: ulimit -u, a container's limit of processes, or memory; or set fewer threads";

}  // namespace shine
