#include "prepare/contained_call.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>

#include "io/files/posix_file.h"

namespace shine {
namespace {

constexpr std::size_t kMostConsole = std::size_t{64} << 10;
constexpr char kEnd = '\n';  // behind a result: without it the process ended while it wrote

struct Pipe {
  int read = -1;
  int write = -1;

  Pipe() {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) throw_errno("make a pipe", "tokenizer training");
    read = ends[0];
    write = ends[1];
  }
  ~Pipe() {
    close_end(read);
    close_end(write);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  static void close_end(int& end) {
    if (end >= 0) close(end);
    end = -1;
  }
};

void write_all(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = write(file, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
}

[[noreturn]] void run_child(const std::function<std::string()>& work, const Pipe& result, const Pipe& console) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  dup2(console.write, STDOUT_FILENO);
  dup2(console.write, STDERR_FILENO);
  try {
    write_all(result.write, work() + kEnd);
  } catch (...) {  // the missing end tells
  }
  _exit(0);
}

/// True while there may be more.
bool read_some(int file, std::string& text) {
  std::array<char, 1 << 14> buffer;
  const ssize_t count = read(file, buffer.data(), buffer.size());
  if (count < 0) return errno == EINTR;
  text.append(buffer.data(), static_cast<std::size_t>(count));
  return count > 0;
}

void read_both(const Pipe& result, const Pipe& console, ContainedResult& found) {
  std::array<pollfd, 2> files = {pollfd{result.read, POLLIN, 0}, pollfd{console.read, POLLIN, 0}};
  while (files[0].fd >= 0 || files[1].fd >= 0) {
    if (poll(files.data(), files.size(), -1) < 0) continue;  // a signal came
    if (files[0].revents != 0 && !read_some(files[0].fd, found.value)) files[0].fd = -1;
    if (files[1].revents != 0 && !read_some(files[1].fd, found.console)) files[1].fd = -1;
    if (found.console.size() > 2 * kMostConsole) found.console.erase(0, found.console.size() - kMostConsole);
  }
}

}  // namespace

ContainedResult run_contained(const std::function<std::string()>& work) {
  Pipe result, console;
  const pid_t child = fork();
  if (child < 0) throw_errno("start a process", "tokenizer training");
  if (child == 0) run_child(work, result, console);
  Pipe::close_end(result.write);
  Pipe::close_end(console.write);
  ContainedResult found;
  read_both(result, console, found);
  while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  found.returned = found.value.ends_with(kEnd);
  if (found.returned) found.value.pop_back();
  return found;
}

}  // namespace shine
