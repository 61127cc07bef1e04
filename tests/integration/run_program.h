#pragma once

#include <sys/wait.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "support/paths.h"

namespace shine::test {

/// What a program left behind.
struct Outcome {
  int status = 0;  ///< exit status as the shell gives it: 128 + n for signal n
  std::string out, err;
};

inline std::string read_bytes(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void write_bytes(const std::filesystem::path& file, const std::string& bytes) {
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << bytes;
}

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
