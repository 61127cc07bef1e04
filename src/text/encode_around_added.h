#pragma once

#include <span>
#include <string_view>

#include "text/added_vocabulary.h"
#include "text/text_source.h"

namespace shine {

/// Tokenizer::encode_with_escapes for any vocabulary: added tokens become their ids, and `encode_part` (a part of the
/// text, where it begins, the source, the encoding to append to) encodes what lies between.
template <class EncodePart>
Encoding encode_around_added(const AddedVocabulary& added, std::string_view given, std::span<const TextSpan> escaped,
                             EncodePart encode_part) {
  const TextSource source(given, escaped);
  const std::string_view text = source.text();
  const auto is_escaped = [&](TextSpan span) { return source.is_escaped(span); };
  Encoding result;
  for (const auto& [id, span] : added.split(text, AddedVocabulary::Form::raw, is_escaped)) {
    if (id) {
      result.ids.push_back(*id);
      result.offsets.push_back(source.original(span));
    } else {
      encode_part(text.substr(span.begin, span.end - span.begin), span.begin, source, result);
    }
  }
  return result;
}

}  // namespace shine
