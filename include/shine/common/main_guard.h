#pragma once

#include <exception>
#include <iostream>
#include <string_view>

#include "shine/common/error.h"

namespace shine {

/// The only place that catches: runs a program's body and returns its exit status. A shine::Error becomes one line
/// "program: error: ..." on standard error and status 1; any other exception is called an internal error, status 2.
template <class Body>
int run_main(std::string_view program, Body body) {
  try {
    return body();
  } catch (const Error& error) {
    std::cerr << program << ": error: " << error.what() << std::endl;
    return 1;
  } catch (const std::exception& error) {
    // LibTorch's messages carry a stack trace below their first line.
    const std::string_view what = error.what();
    std::cerr << program << ": internal error: " << what.substr(0, what.find('\n')) << std::endl;
    return 2;
  }
}

}  // namespace shine
