// What a program with LibTorch does before the libraries it loads are initialised: their initialisation can run out of
// memory, open files, and reads variables of the environment that cannot be changed later.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "common/memory_guard.h"
#include "common/standard_streams.h"

namespace {

using Environment = char**;

/// GNU OpenMP's threads wait for each other at the end of every parallel loop. By default they keep their core for
/// several milliseconds before they sleep, and where another process is at work, the thread that they wait for may be
/// the one without a core. This many turns, a few hundredths of a millisecond, cover what one loop waits for on a
/// machine of its own (scripts/bench_busy.py measures both).
char kSpinCount[] = "GOMP_SPINCOUNT=2000";

/// Variables by which a user has chosen already how threads wait, or that there is one.
constexpr std::array<std::string_view, 3> kChosenBy = {"GOMP_SPINCOUNT=", "OMP_WAIT_POLICY=", "KMP_BLOCKTIME="};
constexpr std::string_view kOneThread = "OMP_NUM_THREADS=1";

bool is_chosen(Environment environment) {
  for (; *environment != nullptr; ++environment) {
    const std::string_view variable = *environment;
    if (variable == kOneThread) return true;
    for (const std::string_view name : kChosenBy) {
      if (variable.starts_with(name)) return true;
    }
  }
  return false;
}

/// Starts the program again with GOMP_SPINCOUNT in its environment: the library reads it when it is initialised, and a
/// process cannot make its own environment longer before that. Returns where the system refuses.
void start_again(char** arguments, Environment environment) {
  std::array<char, 4096> program{};
  const ssize_t length = ::readlink("/proc/self/exe", program.data(), program.size() - 1);
  if (length <= 0) return;
  std::size_t count = 0;
  while (environment[count] != nullptr) ++count;
  const std::size_t bytes = (count + 2) * sizeof(char*);  // the new one, and the end
  void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return;
  const auto longer = static_cast<Environment>(memory);
  std::copy_n(environment, count, longer);
  longer[count] = kSpinCount;
  ::execve(program.data(), arguments, longer);
  ::munmap(memory, bytes);
}

/// The C library is not initialised yet either: system calls, and what needs no allocation.
void before_libraries(int, char** arguments, Environment environment) {
  shine::fill_standard_streams();
  shine::guard_memory();
  if (!is_chosen(environment)) start_again(arguments, environment);
}

}  // namespace

// Of an executable the loader calls these before all else.
[[gnu::section(".preinit_array"), gnu::used]] void (*const shine_before_libraries)(int, char**,
                                                                                   char**) = before_libraries;
