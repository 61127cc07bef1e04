#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <thread>

#include "integration/run_program.h"

namespace shine::test {

/// The launching scripts with a stand-in for shine_train, which prints its arguments, and models `small` (all stages)
/// and `base` in a folder of their own.
class Launch : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* stage : {"pretrain", "ift_mqa", "ift_1qa"}) add_stage("small", stage);
    add_stage("base", "pretrain");
    stand_in("echo \"trained $*\"\n");
  }

  void add_stage(const std::string& model, const std::string& stage) const {
    write_bytes(folder_.path() / "configs" / model / (stage + ".yaml"), "run: {}\n");
  }

  /// Makes a program of the folder a shell script of this body.
  void stand_in(const std::string& body, const std::string& name = "bin/shine_train") const {
    write_bytes(folder_.path() / name, "#!/usr/bin/env bash\n" + body);
    std::filesystem::permissions(folder_.path() / name, std::filesystem::perms::owner_all);
  }

  /// Sets a variable of the scripts' environment; PATH, for one, must come whole.
  void set(const std::string& name, const std::string& value) { environment_.push_back(name + "=" + value); }

  std::vector<std::string> command(const std::string& script, std::vector<std::string> arguments) const {
    const std::string folder = folder_.path().string();
    std::vector<std::string> words{"env",
                                   "SHINE_BIN=" + folder + "/bin",
                                   "SHINE_CONFIGS=" + folder + "/configs",
                                   "SHINE_RUNS=" + folder + "/runs",
                                   "SHINE_THREADS=",
                                   "RANKS="};
    words.insert(words.end(), environment_.begin(), environment_.end());
    words.push_back((source_dir() / "scripts" / (script + ".sh")).string());
    words.insert(words.end(), arguments.begin(), arguments.end());
    return words;
  }

  Outcome launch(const std::string& script, const std::vector<std::string>& arguments) const {
    Outcome outcome = run_command(command(script, arguments));
    shorten(outcome);
    return outcome;
  }

  /// Starts a script, signals it once the condition holds, and waits for its end.
  Outcome signalled(const std::string& script, const std::vector<std::string>& arguments, int number,
                    const std::function<bool()>& condition) const {
    const std::string out = (folder_.path() / "out").string(), err = (folder_.path() / "err").string();
    std::string line = "exec";
    for (const std::string& word : command(script, arguments)) line += ' ' + quoted(word);
    line += " > " + quoted(out) + " 2> " + quoted(err) + " < /dev/null";
    const pid_t pid = fork();
    if (pid == 0) {
      execl("/bin/sh", "sh", "-c", line.c_str(), nullptr);
      _exit(127);
    }
    for (int i = 0; i < 1000 && !condition(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    kill(pid, number);
    int status = 0;
    waitpid(pid, &status, 0);
    Outcome outcome{WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read_bytes(out), read_bytes(err)};
    shorten(outcome);
    return outcome;
  }

  /// Takes the folder's name out of what was printed.
  void shorten(Outcome& outcome) const {
    for (std::string* text : {&outcome.out, &outcome.err}) *text = folder_.shorten(*text);
  }

  std::filesystem::path program() const { return folder_.path() / "bin" / "shine_train"; }

  TemporaryFolder folder_;
  std::vector<std::string> environment_;
};

}  // namespace shine::test
