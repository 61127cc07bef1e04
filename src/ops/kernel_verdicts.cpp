#include "ops/kernel_verdicts.h"

#include <cstdlib>
#include <fstream>
#include <utility>

namespace shine {

KernelVerdicts::KernelVerdicts(std::filesystem::path file, std::string key)
    : file_(std::move(file)), key_(std::move(key)) {
  constexpr int most_lines = 10000;
  std::ifstream in(file_);
  std::set<std::string> lines;
  std::string line;
  for (int i = 0; i < most_lines && std::getline(in, line); ++i) lines.insert(line);
  for (std::size_t i = 0; i < kCudaKernels; ++i) {
    const auto kernel = static_cast<CudaKernel>(i);
    if (lines.contains(line_of(kernel))) passed_.insert(kernel);
  }
}

std::string KernelVerdicts::line_of(CudaKernel kernel) const {
  return key_ + ' ' + std::string(name_of(kernel));
}

void KernelVerdicts::add(CudaKernel kernel) {
  if (!passed_.insert(kernel).second || file_.empty()) return;
  std::error_code ignored;
  std::filesystem::create_directories(file_.parent_path(), ignored);
  std::ofstream(file_, std::ios::app) << line_of(kernel) + '\n' << std::flush;
}

std::filesystem::path KernelVerdicts::file_of_user() {
  const auto folder = [](const char* variable) {
    const char* value = std::getenv(variable);
    return value != nullptr ? std::filesystem::path(value) : std::filesystem::path();
  };
  if (folder("XDG_CACHE_HOME").is_absolute()) return folder("XDG_CACHE_HOME") / "shine/kernels";
  return folder("HOME").is_absolute() ? folder("HOME") / ".cache/shine/kernels" : std::filesystem::path();
}

}  // namespace shine
