#pragma once

#include <poll.h>
#include <pty.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "integration/run_program.h"

namespace shine::test {

/// A built program in a terminal of its own, as a user has one; killed at the end if it still runs.
class TerminalProgram {
 public:
  TerminalProgram(const std::string& program, const std::vector<std::string>& arguments) {
    std::vector<std::string> words{(bin_dir() / program).string()};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> pointers;
    for (std::string& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    const std::string folder = source_dir().string();
    pid_ = ::forkpty(&terminal_, nullptr, nullptr, nullptr);
    if (pid_ == 0) {
      ::setenv("TERM", "dumb", 1);
      ::setenv("OMP_NUM_THREADS", "1", 1);
      if (::chdir(folder.c_str()) == 0) ::execv(pointers[0], pointers.data());
      ::_exit(127);
    }
  }
  ~TerminalProgram() {
    if (!ended_) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    if (terminal_ >= 0) ::close(terminal_);
  }
  TerminalProgram(const TerminalProgram&) = delete;
  TerminalProgram& operator=(const TerminalProgram&) = delete;

  /// Keys, as they are pressed: "\x03" is Ctrl-C, "\x04" Ctrl-D.
  void press(const std::string& keys) {
    [[maybe_unused]] const auto sent = ::write(terminal_, keys.data(), keys.size());
  }

  /// Waits until the program has written the text behind what was waited for before; false if it ends or a minute
  /// passes.
  bool wait_for(const std::string& text) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (true) {
      if (const std::size_t found = shown_.find(text, seen_); found != std::string::npos) {
        seen_ = found + text.size();
        return true;
      }
      if (std::chrono::steady_clock::now() > end || !read_more()) return false;
    }
  }

  /// The exit status as the shell gives it, once the program has ended; it is killed when it writes nothing for a minute.
  int wait() {
    while (read_more()) {
    }
    ::close(std::exchange(terminal_, -1));
    int status = 0;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (::waitpid(pid_, &status, WNOHANG) == 0) {
      if (std::chrono::steady_clock::now() > end) ::kill(pid_, SIGKILL);
      ::poll(nullptr, 0, /*timeout=*/20);
    }
    ended_ = true;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  /// All that it has written.
  const std::string& shown() const { return shown_; }

 private:
  bool read_more() {
    pollfd waited{terminal_, POLLIN, 0};
    if (::poll(&waited, 1, /*timeout=*/60000) != 1) return false;
    char buffer[4096];
    const ssize_t count = ::read(terminal_, buffer, sizeof buffer);
    if (count > 0) shown_.append(buffer, static_cast<std::size_t>(count));
    return count > 0;
  }

  pid_t pid_ = -1;
  int terminal_ = -1;
  std::string shown_;
  std::size_t seen_ = 0;
  bool ended_ = false;
};

}  // namespace shine::test
