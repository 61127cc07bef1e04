#pragma once

#include <optional>

#include "shine/config/enum_names.h"

namespace shine {

/// The value of this name in a config file; nothing for an unknown name.
template <NamedEnum E>
constexpr std::optional<E> enum_value(std::string_view name) {
  const auto names = config_names(E{});
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] == name) return static_cast<E>(i);
  }
  return std::nullopt;
}

}  // namespace shine
