// A configuration file and, behind a zero byte, overrides a line each.
#include "fuzz/fuzz_target.h"
#include "shine/app/experiment_config.h"

namespace shine::fuzz {
namespace {

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

/// As accepts(), but several faults of one file are listed a line each.
bool is_read(ExperimentConfig& config, const std::filesystem::path& file, const std::vector<std::string>& overrides) {
  Faults faults;
  const bool parsed = accepts([&] { read_fields(fields_of(config), file, overrides, faults); });
  for (const std::string& line : faults.lines()) accepts([&] { throw ConfigError(line); });
  return parsed && faults.empty();
}

}  // namespace
}  // namespace shine::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace shine;
  const auto parts = fuzz::split_input(fuzz::as_text(data, size), 2);
  static fuzz::MemoryFile file;
  file.write(parts[0]);
  ExperimentConfig config;
  if (!fuzz::is_read(config, file.path(), fuzz::lines_of(parts[1]))) return 0;
  static fuzz::MemoryFile written;
  written.write(config_yaml(config));
  ExperimentConfig again;
  fuzz::require(fuzz::is_read(again, written.path(), {}), "a written configuration reads back");
  fuzz::require(compare_configs(config, again).empty(), "a written configuration reads back to the same");
  return 0;
}
