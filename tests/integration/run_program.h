#pragma once

#include <signal.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <map>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "support/paths.h"

namespace shine::test {

/// What a program left behind.
struct Outcome {
  int status = 0;  ///< exit status as the shell gives it: 128 + n for signal n
  std::string out, err;
};

inline std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

inline std::string quoted(const std::string& word) {
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

/// Runs a command in the source folder, with one thread and its standard input empty.
inline Outcome run_command(const std::vector<std::string>& words) {
  const TemporaryFolder folder;
  const std::string err = (folder.path() / "err").string();
  std::string command = "cd " + quoted(source_dir().string()) + " && OMP_NUM_THREADS=1";
  for (const std::string& word : words) command += ' ' + quoted(word);
  command += " 2> " + quoted(err) + " < /dev/null";
  Outcome outcome;
  FILE* pipe = popen(command.c_str(), "r");
  char buffer[4096];
  while (const std::size_t count = fread(buffer, 1, sizeof buffer, pipe)) outcome.out.append(buffer, count);
  const int status = pclose(pipe);
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  outcome.err = read_bytes(err);
  return outcome;
}

/// Runs one of the built programs.
inline Outcome run_program(const std::string& program, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), (bin_dir() / program).string());
  return run_command(arguments);
}

/// A built program at work in the background; killed at the end if it still runs.
class BackgroundProgram {
 public:
  BackgroundProgram(const std::string& program, const std::vector<std::string>& arguments) {
    std::string command =
        "cd " + quoted(source_dir().string()) + " && OMP_NUM_THREADS=1 exec " + quoted((bin_dir() / program).string());
    for (const std::string& word : arguments) command += ' ' + quoted(word);
    command += " > /dev/null 2> " + quoted((folder_.path() / "err").string()) + " < /dev/null";
    pid_ = fork();
    if (pid_ == 0) {
      execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      _exit(127);
    }
  }
  ~BackgroundProgram() {
    if (running()) {
      signal(SIGKILL);
      wait();
    }
  }
  BackgroundProgram(const BackgroundProgram&) = delete;
  BackgroundProgram& operator=(const BackgroundProgram&) = delete;

  bool running() {
    if (!ended_ && waitpid(pid_, &status_, WNOHANG) == pid_) ended_ = true;
    return !ended_;
  }
  void signal(int number) { kill(pid_, number); }

  /// Waits until the condition holds or the program ends; false in the second case.
  template <class Condition>
  bool wait_until(Condition condition) {
    while (!condition()) {
      if (!running()) return condition();
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return true;
  }

  /// The exit status as the shell gives it: 128 + n for signal n.
  int wait() {
    if (!ended_) waitpid(pid_, &status_, 0);
    ended_ = true;
    return WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
  }
  std::string err() const { return read_bytes(folder_.path() / "err"); }

 private:
  TemporaryFolder folder_;
  pid_t pid_ = -1;
  int status_ = 0;
  bool ended_ = false;
};

/// Every file below a folder with its content.
inline std::map<std::string, std::string> snapshot(const std::filesystem::path& folder) {
  std::map<std::string, std::string> files;
  if (!std::filesystem::exists(folder)) return files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) {
      files[entry.path().lexically_relative(folder).string()] = read_bytes(entry.path());
    }
  }
  return files;
}

}  // namespace shine::test
