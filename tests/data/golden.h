#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "support/paths.h"

namespace shine::test {

/// A file that scripts/fixtures/make_data_golden.py wrote.
inline nlohmann::json read_data_golden(const std::string& name) {
  std::ifstream file(golden_dir() / "data" / name);
  if (!file) throw std::runtime_error("missing golden file " + name);
  return nlohmann::json::parse(file);
}

}  // namespace shine::test
