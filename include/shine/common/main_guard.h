#pragma once

#include <exception>
#include <functional>
#include <string_view>

namespace shine {

/// The only place that catches: runs a program's body and returns its exit status. A shine::Error, a refusal
/// of the system and a lack of memory become one line "program: error: ..." on standard error and status 1; any other
/// exception is called an internal error, status 2. A file limit (SIGXFSZ) becomes an ordinary write error, and a
/// mapped file that somebody shortens (SIGBUS) one line and status 1.
/// @param memory_cure  what a user can do when memory runs out
int run_main(std::string_view program, const std::function<int()>& body, std::string_view memory_cure = "");

}  // namespace shine
