#include "shine/train/metrics_file.h"

#include <nlohmann/json.hpp>
#include <sstream>

#include "shine/common/error.h"
#include "shine/io/text_file.h"

namespace shine {
namespace {

/// The lines of earlier steps; a line cut off by a crash is no JSON object and is dropped.
std::string lines_up_to(const std::filesystem::path& path, std::int64_t last_step) {
  std::istringstream in(read_text_file(path));
  std::string kept;
  for (std::string line; std::getline(in, line);) {
    const auto event = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    const bool whole = event.is_object() && event.contains("step") && event["step"].is_number_integer();
    if (whole && event["step"].get<std::int64_t>() <= last_step) kept += line + "\n";
  }
  return kept;
}

}  // namespace

MetricsFile::MetricsFile(const std::filesystem::path& path, std::int64_t last_step) : path_(path) {
  if (std::filesystem::exists(path)) write_file_atomically(path, lines_up_to(path, last_step));
  out_.open(path, std::ios::app);
  SHINE_CHECK(out_.good(), IoError, path.string(), ": cannot be opened for writing");
}

void MetricsFile::write(const nlohmann::ordered_json& event) {
  out_ << event.dump() << std::endl;
  SHINE_CHECK(out_.good(), IoError, path_.string(), ": cannot be written (is the disk full?)");
}

}  // namespace shine
