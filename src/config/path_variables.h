#pragma once

#include <string>
#include <string_view>

#include "shine/common/api.h"

namespace shine {

/// A path whose variables are replaced, or the reason why that is impossible.
struct ExpandedPath {
  std::string path;
  std::string fault;  ///< empty = none
};

/// Whether a path stands in a file, or in an override of the command line: the relative ones of these begin in the
/// folder that SHINE_PATHS_FROM names, where that is set (by scripts that change the current folder).
enum class PathOrigin { file, override_text };

/// Replaces `${NAME}` anywhere, and `$SHINE_SHARED` at the start of a path, by environment variables, then a leading
/// `~` as expand_home does. An unset SHINE_SHARED is "../shared"; any other unset variable is a fault.
ExpandedPath expand_path(std::string_view text, PathOrigin origin = PathOrigin::file);

/// Replaces `~` and `~NAME` at the start of a path by home folders, as a shell does: the variable HOME, else what the
/// system knows. The name of no user stays as it is; that there is no home is a fault.
SHINE_API ExpandedPath expand_home(std::string_view text);

}  // namespace shine
