#pragma once

#include <functional>
#include <limits>
#include <string>
#include <string_view>

namespace shine {

/// What a key accepts beyond its type. On a list it holds for every item.
struct Constraint {
  std::string text;  ///< completes "expected an integer ..": "at least 1"
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool low_open = false;                                    ///< `low` itself is refused
  bool high_open = false;                                   ///< `high` itself is refused
  std::function<bool(std::string_view)> accepts_text = {};  ///< strings only; empty = any string
  bool is_path = false;                                     ///< `${NAME}` is replaced by environment variables

  bool accepts(double value) const;
  bool accepts(std::string_view value) const { return !accepts_text || accepts_text(value); }
};

Constraint at_least(double low);
Constraint above(double low);
/// low <= value <= high
Constraint in_range(double low, double high);
/// low <= value < high
Constraint from_to_below(double low, double high);
/// A file or folder name: `${NAME}` becomes the environment variable's value, and so does a leading `$SHINE_SHARED/`.
Constraint file_path();
/// Strings that the predicate accepts; `text` completes "expected a string, ..".
Constraint matching(std::string text, std::function<bool(std::string_view)> predicate);

}  // namespace shine
