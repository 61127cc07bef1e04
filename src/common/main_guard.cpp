#include "common/main_guard.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <new>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "common/first_line.h"
#include "common/memory_guard.h"
#include "common/process_label.h"
#include "common/run_within.h"
#include "common/standard_streams.h"
#include "shine/common/error.h"
#include "shine/common/logging.h"

namespace shine {
namespace {

std::atomic<bool> static_objects_are_kept = false;

constexpr std::chrono::seconds kTimeOfFirstProcess{2};
constexpr std::chrono::seconds kTimeOfLogFiles{2};

void on_bus_error(int) {
  write_fault("error", "a mapped file (weights, checkpoint) was shortened or became unreadable while in use",
              "restore it; replace files by renaming, never in place");
  ::_exit(1);
}

void prepare_signals() {
  ::signal(SIGXFSZ, SIG_IGN);
  ::signal(SIGBUS, on_bus_error);
  guard_memory();
}

/// What the stream buffers hold is written out; throws where not all that was printed could be. A stream that was
/// closed from the start is meant to lose it.
void finish_output() {
  const bool printed = std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && std::cout.flush().good();
  const int reason = errno;
  const int mode = ::fcntl(STDOUT_FILENO, F_GETFL);
  const bool closed = mode < 0 || (mode & O_ACCMODE) == O_RDONLY;
  if (printed || closed) return;
  const std::string known = reason == 0 ? "" : ": " + std::generic_category().message(reason);
  throw IoError("cannot be written" + known, "standard output");
}

/// A fault as its one line on standard error.
std::string fault_line(std::string_view program, std::string_view kind, std::string_view what) {
  const std::string_view label = process_label();
  return str(program, program.empty() ? "" : ": ", label, label.empty() ? "" : ": ", kind, ": ", what, '\n');
}

}  // namespace

void end_process(std::string_view fault) noexcept {
  const std::string what(first_line(fault));
  const std::string line = fault_line(program_name(), "error", what);
  try {
    // A thread that hangs may hold a file's lock.
    run_within(kTimeOfLogFiles, [message = "error: " + what] { log_to_files(LogLevel::error, message); });
  } catch (const std::exception&) {
    // No thread can be started: only the line below is written.
  }
  [[maybe_unused]] const auto ignored = ::write(STDERR_FILENO, line.data(), line.size());
  ::_exit(1);
}

void keep_static_objects() noexcept {
  static_objects_are_kept = true;
}

int run_main(std::string_view program, const std::function<int()>& body, std::string_view memory_cure) {
  const auto fail = [&](std::string_view kind, std::string_view what, int status) {
    log_to_files(LogLevel::error, str(kind, ": ", what));
    if (!is_first_process()) std::this_thread::sleep_for(kTimeOfFirstProcess);
    std::cerr << fault_line(program, kind, what) << std::flush;
    if (static_objects_are_kept) {
      std::fflush(stdout);
      std::cout.flush();
      ::_exit(status);
    }
    return status;
  };
  const std::string cure = memory_cure.empty() ? "" : str(" (", memory_cure, ")");
  fill_standard_streams();
  name_program(program, memory_cure);
  prepare_signals();
  try {
    const int status = body();
    errno = 0;
    if (status == 0) finish_output();
    return status;
  } catch (const Error& error) {
    return fail("error", error.what(), 1);
  } catch (const std::system_error& error) {
    if (error.code() == std::errc::not_enough_memory) return fail("error", str(kOutOfMemory, cure), 1);
    const bool no_thread = error.code() == std::errc::resource_unavailable_try_again;
    return fail("error", no_thread ? str(kNoThread, " (", kNoThreadCure, ")") : error.what(), 1);
  } catch (const std::bad_alloc&) {
    return fail("error", str(kOutOfMemory, cure), 1);
  } catch (const std::exception& error) {
    // LibTorch's messages carry a stack trace below their first line.
    const std::string what(first_line(error.what()));
    const bool no_memory = is_memory_fault(what);
    return no_memory ? fail("error", str(kOutOfMemory, ": ", what, cure), 1) : fail("internal error", what, 2);
  }
}

}  // namespace shine
