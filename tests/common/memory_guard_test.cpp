#include "common/memory_guard.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <new>
#include <stdexcept>
#include <system_error>
#include <thread>

#include "common/main_guard.h"
#include "common/start_threads.h"
#include "shine/common/error.h"
#include "support/sanitizer.h"

namespace shine::test {
namespace {

/// Ends this process as a program of this body.
[[noreturn]] void run(const std::function<int()>& body) {
  std::_Exit(run_main("prog", body, "lower x"));
}

template <class Fault>
int throw_in_a_thread(Fault fault) {
  std::thread([fault] { throw fault; }).join();
  return 3;
}

TEST(MemoryGuard, WhatAThreadDoesNotCatchIsOneLine) {
  EXPECT_EXIT(run([] { return throw_in_a_thread(std::bad_alloc()); }), testing::ExitedWithCode(1),
              "^prog: error: out of memory \\(lower x\\)\n$");
  EXPECT_EXIT(run([] { return throw_in_a_thread(std::runtime_error("you tried to allocate memory")); }),
              testing::ExitedWithCode(1), "^prog: error: out of memory \\(lower x\\)\n$");
  const auto refused = std::make_error_code(std::errc::resource_unavailable_try_again);
  EXPECT_EXIT(run([&] { return throw_in_a_thread(std::system_error(refused)); }), testing::ExitedWithCode(1),
              "^prog: error: no further thread can be started \\(allow more: .*\\)\n$");
  EXPECT_EXIT(run([&]() -> int { throw std::system_error(refused); }), testing::ExitedWithCode(1),
              "^prog: error: no further thread can be started \\(allow more: .*\\)\n$");
  EXPECT_EXIT(run([] { return throw_in_a_thread(std::logic_error("index\nframe #0")); }),
              testing::KilledBySignal(SIGABRT), "^prog: internal error: index\n$");
}

#ifndef SHINE_ADDRESS_SANITIZER
void limit_address_space(std::size_t more) {
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  const rlimit limit{pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) + more, RLIM_INFINITY};
  ::setrlimit(RLIMIT_AS, &limit);
}

TEST(MemoryGuard, ALibraryThatUsesWhatItWasNotGivenIsOneLine) {
  const auto write_to_nothing = [](std::size_t memory) {
    limit_address_space(memory);
    *static_cast<volatile int*>(std::malloc(std::size_t{1} << 40)) = 1;
    return 3;
  };
  EXPECT_EXIT(run([&] { return write_to_nothing(std::size_t{16} << 20); }), testing::ExitedWithCode(1),
              "^prog: error: out of memory \\(lower x\\)\n$");
  EXPECT_EXIT(run([&] { return write_to_nothing(std::size_t{1} << 30); }), testing::KilledBySignal(SIGSEGV), "^$");
  EXPECT_EXIT(run([] { return ::raise(SIGSEGV); }), testing::KilledBySignal(SIGSEGV), "^$");
}

TEST(RequireThreads, SaysHowManyAreGranted) {
  require_threads(0);
  require_threads(3);
  const auto ask = []() -> int {
    limit_address_space(std::size_t{100} << 20);
    require_threads(1);
    require_threads(1000);
    return 0;
  };
  EXPECT_EXIT(run(ask), testing::ExitedWithCode(1),
              "^prog: error: no further thread can be started: [0-9]+ of 1000 are granted \\(allow more: .*\\)\n$");
}
#endif

}  // namespace
}  // namespace shine::test
