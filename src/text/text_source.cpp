#include "text/text_source.h"

#include <algorithm>

#include "shine/common/error.h"

namespace shine {

TextSource::TextSource(std::string_view given, std::span<const TextSpan> escaped) : escaped_(escaped), text_(given) {
  std::size_t end = 0;
  for (const TextSpan& range : escaped) {
    if (range.begin < end || range.end < range.begin || range.end > given.size())
      throw ConfigError(str("escaped bytes ", range.begin, " to ", range.end, " of a text of ", given.size(),
                            " bytes: expected ascending ranges within the text"));
    end = range.end;
  }
  if (is_valid_utf8(given)) return;
  repaired_ = replace_invalid_utf8(given, &repairs_);
  text_ = repaired_;
}

bool TextSource::is_escaped(TextSpan span) const {
  if (escaped_.empty()) return false;
  const TextSpan source = original(span);
  const auto after = std::partition_point(escaped_.begin(), escaped_.end(),
                                          [&](const TextSpan& range) { return range.end <= source.begin; });
  return after != escaped_.end() && after->begin < source.end;
}

}  // namespace shine
