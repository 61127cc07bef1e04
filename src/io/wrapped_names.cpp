#include "io/wrapped_names.h"

#include <algorithm>
#include <array>

namespace shine {
namespace {

constexpr std::array<std::string_view, 4> kWrappers{"module", "_orig_mod", "_fsdp_wrapped_module",
                                                    "_checkpoint_wrapped_module"};

}  // namespace

std::string without_wrappers(std::string_view name) {
  std::string result;
  while (true) {
    const std::size_t dot = name.find('.');
    if (dot == std::string_view::npos) return result.append(name);
    if (std::ranges::find(kWrappers, name.substr(0, dot)) == kWrappers.end()) result += name.substr(0, dot + 1);
    name.remove_prefix(dot + 1);
  }
}

}  // namespace shine
