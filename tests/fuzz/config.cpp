// A configuration file and, behind a zero byte, overrides a line each.
#include "config/config_io.h"
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

/// A configuration with the list of its keys, which takes longer to make than most inputs to read.
struct Target {
  MemoryFile file;
  ExperimentConfig config;
  const FieldList fields = fields_of(config);

  /// As accepts(), but several faults of one file are listed a line each.
  bool reads(std::string_view text, const std::vector<std::string>& overrides) {
    file.write(text);
    config = {};
    Faults faults;
    const bool parsed = accepts([&] { read_fields(fields, file.path(), overrides, faults); });
    for (const std::string& line : faults.lines()) accepts([&] { throw ConfigError(line); });
    return parsed && faults.empty();
  }
};

}  // namespace
}  // namespace shine::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace shine;
  const auto parts = fuzz::split_input(fuzz::as_text(data, size), 2);
  static fuzz::Target first;
  if (!first.reads(parts[0], fuzz::lines_of(parts[1]))) return 0;
  static fuzz::Target again;
  fuzz::require(again.reads(fields_yaml(first.fields), {}), "a written configuration reads back");
  fuzz::require(compare_fields(first.fields, again.fields).empty(), "a written configuration reads back to the same");
  return 0;
}
