#pragma once

#include <cstddef>
#include <string_view>
#include <type_traits>

namespace shine {

/// An enum usable in a config: enumerators 0, 1, .. and a function found by its argument's type,
/// `constexpr std::array<std::string_view, n> config_names(E)`, which lists their names in order.
template <class E>
concept NamedEnum = std::is_enum_v<E> && requires(E e) {
  config_names(e).size();
};

/// The name that a config file uses for the value.
template <NamedEnum E>
constexpr std::string_view enum_name(E value) {
  return config_names(value)[static_cast<std::size_t>(value)];
}

}  // namespace shine
