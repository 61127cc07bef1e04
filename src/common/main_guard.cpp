#include "shine/common/main_guard.h"

#include <signal.h>
#include <unistd.h>

#include <iostream>
#include <new>
#include <string>
#include <system_error>

#include "shine/common/error.h"

namespace shine {
namespace {

/// Made before any signal can come: a handler may not allocate.
std::string bus_error_line;

void on_bus_error(int) {
  [[maybe_unused]] const auto ignored = ::write(STDERR_FILENO, bus_error_line.data(), bus_error_line.size());
  ::_exit(1);
}

void prepare_signals(std::string_view program) {
  ::signal(SIGXFSZ, SIG_IGN);
  bus_error_line =
      str(program, ": error: a mapped file (weights, checkpoint) was shortened or became unreadable while ",
          "in use (restore it; replace files by renaming, never in place)\n");
  ::signal(SIGBUS, on_bus_error);
}

/// An unkept line break would end the one line that an error is.
std::string one_line(std::string_view text) {
  return std::string(text.substr(0, text.find('\n')));
}

}  // namespace

int run_main(std::string_view program, const std::function<int()>& body, std::string_view memory_cure) {
  const auto fail = [&](std::string_view kind, std::string_view what, int status) {
    std::cerr << program << ": " << kind << ": " << what << std::endl;
    return status;
  };
  const std::string cure = memory_cure.empty() ? "" : str(" (", memory_cure, ")");
  prepare_signals(program);
  try {
    return body();
  } catch (const Error& error) {
    return fail("error", error.what(), 1);
  } catch (const std::system_error& error) {
    return fail("error", error.what(), 1);
  } catch (const std::bad_alloc&) {
    return fail("error", "out of memory" + cure, 1);
  } catch (const std::exception& error) {
    // LibTorch's messages carry a stack trace below their first line.
    const std::string what = one_line(error.what());
    const bool no_memory = what.find("allocate memory") != what.npos || what.find("out of memory") != what.npos;
    return no_memory ? fail("error", str("out of memory: ", what, cure), 1) : fail("internal error", what, 2);
  }
}

}  // namespace shine
