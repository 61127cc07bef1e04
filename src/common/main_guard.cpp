#include "common/main_guard.h"

#include <signal.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <iostream>
#include <new>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "common/first_line.h"
#include "common/process_label.h"
#include "common/run_within.h"
#include "shine/common/error.h"
#include "shine/common/logging.h"

namespace shine {
namespace {

constexpr std::chrono::seconds kTimeOfFirstProcess{2};
constexpr std::chrono::seconds kTimeOfLogFiles{2};

/// Made before any signal can come: a handler may not allocate.
std::string program_name;

void on_bus_error(int) {
  constexpr std::string_view fault =
      "error: a mapped file (weights, checkpoint) was shortened or became unreadable while in use (restore it; replace "
      "files by renaming, never in place)\n";
  const std::string_view label = process_label(), colon = ": ";
  const auto piece = [](std::string_view text) { return iovec{const_cast<char*>(text.data()), text.size()}; };
  const std::array line{piece(program_name), piece(colon), piece(label), piece(label.empty() ? "" : colon),
                        piece(fault)};
  [[maybe_unused]] const auto ignored = ::writev(STDERR_FILENO, line.data(), static_cast<int>(line.size()));
  ::_exit(1);
}

void prepare_signals(std::string_view program) {
  ::signal(SIGXFSZ, SIG_IGN);
  program_name = program;
  ::signal(SIGBUS, on_bus_error);
}

/// A fault as its one line on standard error.
std::string fault_line(std::string_view program, std::string_view kind, std::string_view what) {
  const std::string_view label = process_label();
  return str(program, program.empty() ? "" : ": ", label, label.empty() ? "" : ": ", kind, ": ", what, '\n');
}

}  // namespace

void end_process(std::string_view fault) noexcept {
  const std::string what(first_line(fault));
  const std::string line = fault_line(program_name, "error", what);
  try {
    // A thread that hangs may hold a file's lock.
    run_within(kTimeOfLogFiles, [message = "error: " + what] { log_to_files(LogLevel::error, message); });
  } catch (const std::exception&) {
    // No thread can be started: only the line below is written.
  }
  [[maybe_unused]] const auto ignored = ::write(STDERR_FILENO, line.data(), line.size());
  ::_exit(1);
}

int run_main(std::string_view program, const std::function<int()>& body, std::string_view memory_cure) {
  const auto fail = [&](std::string_view kind, std::string_view what, int status) {
    log_to_files(LogLevel::error, str(kind, ": ", what));
    if (!is_first_process()) std::this_thread::sleep_for(kTimeOfFirstProcess);
    std::cerr << fault_line(program, kind, what) << std::flush;
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
    const std::string what(first_line(error.what()));
    const bool no_memory = what.find("allocate memory") != what.npos || what.find("out of memory") != what.npos;
    return no_memory ? fail("error", str("out of memory: ", what, cure), 1) : fail("internal error", what, 2);
  }
}

}  // namespace shine
