#include "shine/config/constraint.h"

#include <utility>

#include "shine/common/str.h"

namespace shine {

bool Constraint::accepts(double value) const {
  const bool above_low = low_open ? value > low : value >= low;
  const bool below_high = high_open ? value < high : value <= high;
  return above_low && below_high;
}

Constraint at_least(double low) {
  return {.text = str("at least ", low), .low = low};
}

Constraint above(double low) {
  return {.text = str("above ", low), .low = low, .low_open = true};
}

Constraint in_range(double low, double high) {
  return {.text = str("from ", low, " to ", high), .low = low, .high = high};
}

Constraint from_to_below(double low, double high) {
  return {.text = str("from ", low, " to below ", high), .low = low, .high = high, .high_open = true};
}

Constraint file_path() {
  Constraint path;
  path.is_path = true;
  return path;
}

Constraint matching(std::string text, std::function<bool(std::string_view)> predicate) {
  return {.text = std::move(text), .accepts_text = std::move(predicate)};
}

}  // namespace shine
