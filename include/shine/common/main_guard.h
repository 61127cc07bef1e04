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
    std::cerr << program << ": internal error: " << error.what() << std::endl;
    return 2;
  }
}

}  // namespace shine
