#pragma once

#include <string>
#include <string_view>

namespace shine {

/// A path whose variables are replaced, or the reason why that is impossible.
struct ExpandedPath {
  std::string path;
  std::string fault;  ///< empty = none
};

/// Replaces `${NAME}` anywhere, and `$SHINE_SHARED` at the start of a path, by environment variables.
/// An unset SHINE_SHARED is "../shared"; any other unset variable is a fault.
ExpandedPath expand_path(std::string_view text);

}  // namespace shine
