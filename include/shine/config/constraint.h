#pragma once

#include <functional>
#include <limits>
#include <string>
#include <string_view>

#include "shine/common/api.h"

namespace shine {

/// What a key accepts beyond its type. On a list it holds for every item.
struct SHINE_API Constraint {
  std::string text;  ///< completes "expected an integer ..": "at least 1"
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool low_open = false;                                    ///< `low` itself is refused
  bool high_open = false;                                   ///< `high` itself is refused
  std::function<bool(std::string_view)> accepts_text = {};  ///< strings only; empty = any string
  bool is_path = false;                                     ///< `${NAME}` and a leading `~` are replaced

  bool accepts(double value) const;
  bool accepts(std::string_view value) const { return !accepts_text || accepts_text(value); }
};

SHINE_API Constraint at_least(double low);
SHINE_API Constraint above(double low);
/// low <= value <= high
SHINE_API Constraint in_range(double low, double high);
/// low <= value < high
SHINE_API Constraint from_to_below(double low, double high);
/// A file or folder name: `${NAME}` and a leading `$SHINE_SHARED/` become variables' values, a leading `~` the home.
SHINE_API Constraint file_path();
/// Strings that the predicate accepts; `text` completes "expected a string, ..".
SHINE_API Constraint matching(std::string text, std::function<bool(std::string_view)> predicate);

}  // namespace shine
