#include "shine/config/evaluation_config.h"

#include <algorithm>

namespace shine {

bool is_method_name(std::string_view name) {
  const auto names = config_names(Method{});
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_plain_name(std::string_view name) {
  return name.find('/') == std::string_view::npos;
}

}  // namespace shine
