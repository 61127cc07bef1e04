#include "config/faults.h"

#include <algorithm>

#include "shine/common/error.h"
#include "shine/common/str.h"

namespace shine {

void Faults::add(std::string_view place, std::string_view what) {
  lines_.push_back(place.empty() ? std::string(what) : str(place, ": ", what));
}

void Faults::throw_if_any(std::string_view subject) const {
  if (lines_.empty()) return;
  if (lines_.size() == 1) throw ConfigError(lines_.front());
  constexpr std::size_t most_shown = 100;
  std::string message = str(lines_.size(), " faults in ", subject, ":");
  for (std::size_t i = 0; i < std::min(lines_.size(), most_shown); ++i) message += "\n  " + lines_[i];
  if (lines_.size() > most_shown) message += str("\n  and ", lines_.size() - most_shown, " more");
  throw ConfigError(message);
}

}  // namespace shine
