#pragma once

#include <unistd.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "integration/run_program.h"

namespace shine::test {

/// Options that let OpenMPI's mpirun start more ranks than there are cores, and run as root where the tests do.
inline std::vector<std::string> mpirun_options() {
  std::vector<std::string> options{"--oversubscribe", "--bind-to", "none"};
  if (geteuid() == 0) options.emplace_back("--allow-run-as-root");
  return options;
}

/// The arguments of an mpirun that starts `ranks` ranks of a built program.
inline std::vector<std::string> mpirun_arguments(int ranks, const std::string& program,
                                                 const std::vector<std::string>& arguments) {
  std::vector<std::string> words = mpirun_options();
  words.insert(words.end(), {"-n", std::to_string(ranks), (bin_dir() / program).string()});
  words.insert(words.end(), arguments.begin(), arguments.end());
  return words;
}

/// Runs a built program on so many ranks.
inline Outcome run_program_on_ranks(int ranks, const std::string& program, const std::vector<std::string>& arguments) {
  std::vector<std::string> words = mpirun_arguments(ranks, program, arguments);
  words.insert(words.begin(), "mpirun");
  return run_command(words);
}

/// Why tests of several ranks cannot run here: no OpenMPI, or programs that were built without it. Empty: they can.
inline std::string obstacle_to_ranks() {
  if (run_command({"mpirun", "--version"}).out.find("Open MPI") == std::string::npos) return "no mpirun of OpenMPI";
  const Outcome version = run_program_on_ranks(1, "shine_tokenize", {"--version"});
  return version.status == 0 ? "" : "mpirun starts no program: " + version.err;
}

/// The process of a rank that OpenMPI's mpirun started with `argument` among its arguments. Throws where there is
/// none: kill(0, ..) would end the tests.
inline pid_t process_of_rank(int rank, const std::string& argument) {
  const std::string variable = std::string(1, '\0') + "OMPI_COMM_WORLD_RANK=" + std::to_string(rank) + '\0';
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    if (read_bytes(entry.path() / "cmdline").find(argument) == std::string::npos) continue;
    if (read_bytes(entry.path() / "environ").find(variable) != std::string::npos) return std::stoi(name);
  }
  throw std::runtime_error("no process of rank " + std::to_string(rank));
}

/// The file name of mpirun, for BackgroundProgram.
inline std::string mpirun_path() {
  std::string path = run_command({"sh", "-c", "command -v mpirun"}).out;
  path.erase(path.find_last_not_of('\n') + 1);
  return path;
}

}  // namespace shine::test
