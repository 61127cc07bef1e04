#include "common/interrupts.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>

#include "shine/common/error.h"

namespace shine {
namespace {

std::atomic<int> event = -1;
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may touch lock-free atomics only");

void note(int) {
  const int saved = errno;
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto ignored = ::write(event, &one, sizeof one);
  errno = saved;
}

}  // namespace

Interrupts::Interrupts() {
  event = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (event < 0) throw IoError("no descriptor for signals (eventfd)", "Ctrl-C", "allow more open files (ulimit -n)");
  struct sigaction action {};
  action.sa_handler = note;
  action.sa_flags = SA_RESTART;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGINT, &action, &former_);
}

Interrupts::~Interrupts() {
  ::sigaction(SIGINT, &former_, nullptr);
  ::close(event.exchange(-1));
}

bool Interrupts::take() {
  std::uint64_t count = 0;
  return ::read(event, &count, sizeof count) == sizeof count;
}

int Interrupts::descriptor() const {
  return event;
}

}  // namespace shine
