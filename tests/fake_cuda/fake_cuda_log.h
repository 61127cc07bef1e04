#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "integration/run_program.h"

namespace shine::test {

/// What a program asked of the device, by kind ("kernel", "product", "copy", "wait", "allocation", ..).
using CudaCounts = std::map<std::string, std::int64_t>;

/// The log of a program on lib/fake_cuda/libcuda.so.1.
struct FakeCudaLog {
  CudaCounts totals;
  std::vector<CudaCounts> parts;  ///< between two waits for the whole device
  std::vector<std::string> broken;
};

inline FakeCudaLog read_fake_cuda_log(const std::string& text) {
  FakeCudaLog log;
  log.parts.emplace_back();
  for (const std::string& line : lines_of(text)) {
    const std::string kind = line.substr(0, line.find('\t'));
    ++log.totals[kind];
    if (kind == "broken") log.broken.push_back(line);
    if (line.starts_with("wait\t-1\tdevice")) {
      log.parts.emplace_back();
    } else {
      ++log.parts.back()[kind];
    }
  }
  return log;
}

/// A program on lib/fake_cuda/libcuda.so.1, and what that saw.
struct FakeCudaOutcome : Outcome {
  FakeCudaLog log;
};

inline FakeCudaOutcome run_on_fake_cuda(const std::string& program, const std::vector<std::string>& arguments,
                                        const std::vector<std::string>& environment = {}) {
  const TemporaryFolder folder;
  const std::filesystem::path log = folder.path() / "log",
                              library = bin_dir().parent_path() / "lib/fake_cuda/libcuda.so.1";
  std::vector<std::string> words{"env", "LD_PRELOAD=" + library.string(), "FAKE_CUDA_LOG=" + log.string(),
                                 "XDG_CACHE_HOME=" + folder.path().string()};
  words.insert(words.end(), environment.begin(), environment.end());
  words.push_back((bin_dir() / program).string());
  words.insert(words.end(), arguments.begin(), arguments.end());
  FakeCudaOutcome outcome{run_command(words), {}};
  outcome.log = read_fake_cuda_log(read_bytes(log));
  return outcome;
}

}  // namespace shine::test
