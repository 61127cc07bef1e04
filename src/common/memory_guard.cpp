#include "common/memory_guard.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <exception>
#include <new>
#include <system_error>

#include "common/first_line.h"
#include "common/process_label.h"

namespace shine {
namespace {

/// A text in static memory, which a handler may read at any time.
template <std::size_t Size>
class FixedText {
 public:
  void set(std::string_view text) {
    size_ = std::min(text.size(), Size);
    std::copy_n(text.data(), size_, text_.data());
  }
  std::string_view view() const { return {text_.data(), size_}; }

 private:
  std::array<char, Size> text_{};
  std::size_t size_ = 0;
};

constinit FixedText<64> named_program;
constinit FixedText<512> named_cure;
constinit std::atomic<bool> ending = false;

/// Whether not even this much can be had: what a library asked for in vain was more, or about as much.
bool memory_is_out() {
  constexpr std::size_t bytes = std::size_t{64} << 20;
  void* const got = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (got == MAP_FAILED) return true;
  ::munmap(got, bytes);
  return false;
}

void say_out_of_memory() {
  write_fault("error", kOutOfMemory, named_cure.view());
}

void on_bad_access(int signal, siginfo_t* info, void*) {
  if (info->si_code > 0 && memory_is_out()) {
    say_out_of_memory();
    ::_exit(1);
  }
  ::signal(signal, SIG_DFL);                // returning repeats the access
  if (info->si_code <= 0) ::raise(signal);  // sent by another process
}

[[noreturn]] void end(void (*say)()) {
  if (!ending.exchange(true)) say();
  ::_exit(1);
}

[[noreturn]] void on_terminate() {
  try {
    if (const std::exception_ptr fault = std::current_exception()) std::rethrow_exception(fault);
  } catch (const std::bad_alloc&) {
    end(say_out_of_memory);
  } catch (const std::system_error& fault) {
    if (fault.code() == std::errc::resource_unavailable_try_again) {
      end([] { write_fault("error", kNoThread, kNoThreadCure); });
    }
    if (fault.code() == std::errc::not_enough_memory) end(say_out_of_memory);
    write_fault("internal error", first_line(fault.what()));
  } catch (const std::exception& fault) {
    if (is_memory_fault(fault.what())) end(say_out_of_memory);
    write_fault("internal error", first_line(fault.what()));
  } catch (...) {
    write_fault("internal error", "an exception of an unknown type");
  }
  std::abort();
}

}  // namespace

void guard_memory() noexcept {
  std::set_terminate(on_terminate);
  struct sigaction former {};
  if (::sigaction(SIGSEGV, nullptr, &former) == 0 && former.sa_handler != SIG_DFL) return;  // a sanitizer's
  struct sigaction action {};
  action.sa_sigaction = on_bad_access;
  action.sa_flags = SA_SIGINFO;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGSEGV, &action, nullptr);
}

void name_program(std::string_view program, std::string_view memory_cure) {
  named_program.set(program);
  named_cure.set(memory_cure);
}

std::string_view program_name() {
  return named_program.view();
}

void write_fault(std::string_view kind, std::string_view fault, std::string_view cure) noexcept {
  const char* const file = program_invocation_short_name;
  const std::string_view named = program_name();
  const std::string_view program = named.empty() && file != nullptr ? std::string_view(file) : named;
  const std::string_view label = process_label();
  const auto piece = [](std::string_view text) { return iovec{const_cast<char*>(text.data()), text.size()}; };
  const auto colon_behind = [](std::string_view text) { return std::string_view(text.empty() ? "" : ": "); };
  const std::array line{piece(program), piece(colon_behind(program)),
                        piece(label),   piece(colon_behind(label)),
                        piece(kind),    piece(": "),
                        piece(fault),   piece(cure.empty() ? "" : " ("),
                        piece(cure),    piece(cure.empty() ? "\n" : ")\n")};
  [[maybe_unused]] const auto ignored = ::writev(STDERR_FILENO, line.data(), static_cast<int>(line.size()));
}

bool is_memory_fault(std::string_view what) {
  for (const std::string_view words : {"allocate memory", "out of memory", "std::bad_alloc", "out_of_memory"}) {
    if (what.find(words) != what.npos) return true;
  }
  return false;
}

}  // namespace shine
