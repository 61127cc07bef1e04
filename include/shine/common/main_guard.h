#pragma once

#include <exception>
#include <iostream>
#include <new>
#include <string_view>
#include <system_error>

#include "shine/common/error.h"

namespace shine {

/// The only place that catches: runs a program's body and returns its exit status. A shine::Error, a refusal
/// of the system and a lack of memory become one line "program: error: ..." on standard error and status 1; any other
/// exception is called an internal error, status 2.
template <class Body>
int run_main(std::string_view program, Body body) {
  try {
    return body();
  } catch (const Error& error) {
    std::cerr << program << ": error: " << error.what() << std::endl;
    return 1;
  } catch (const std::system_error& error) {
    std::cerr << program << ": error: " << error.what() << std::endl;
    return 1;
  } catch (const std::bad_alloc&) {
    std::cerr << program << ": error: out of memory" << std::endl;
    return 1;
  } catch (const std::exception& error) {
    // LibTorch's messages carry a stack trace below their first line.
    const std::string_view all = error.what();
    const std::string_view what = all.substr(0, all.find('\n'));
    const bool no_memory = what.find("allocate memory") != what.npos || what.find("out of memory") != what.npos;
    std::cerr << program << (no_memory ? ": error: out of memory: " : ": internal error: ") << what << std::endl;
    return no_memory ? 1 : 2;
  }
}

}  // namespace shine
