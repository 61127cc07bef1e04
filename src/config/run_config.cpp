#include "shine/config/run_config.h"

#include <algorithm>

namespace shine {

bool is_device_name(std::string_view name) {
  if (name == "auto" || name == "cpu" || name == "cuda") return true;
  constexpr std::string_view prefix = "cuda:";
  if (!name.starts_with(prefix)) return false;
  const std::string_view index = name.substr(prefix.size());
  constexpr std::size_t most_digits = 3;
  return !index.empty() && index.size() <= most_digits &&
         std::all_of(index.begin(), index.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace shine
