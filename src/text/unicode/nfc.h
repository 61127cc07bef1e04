#pragma once

#include <string>
#include <string_view>

#include "text/unicode/utf8.h"

namespace shine {

struct NormalizedText {
  std::string text;
  OffsetMap offsets;  // to the text before
};

/// Unicode normalization form C of valid UTF-8, with the tables of Unicode 9.0 as in `tokenizers` 0.22. The text is cut
/// at characters that never combine with what is before them; a piece that changes is aligned by its common start and
/// end, what lies between counts as a whole.
NormalizedText normalize_nfc(std::string_view text);

/// True only if normalize_nfc would return the text itself; quick, may miss some.
bool is_plainly_nfc(std::string_view text);

}  // namespace shine
