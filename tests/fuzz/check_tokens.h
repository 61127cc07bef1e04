#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "fuzz/fuzz_target.h"
#include "shine/text/tokenizer.h"
#include "text/unicode/utf8.h"

namespace shine::fuzz {

/// What holds for any tokenizer and text.
inline void check_tokens(const Tokenizer& tokenizer, std::string_view text) {
  const Encoding encoding = tokenizer.encode(text);
  require(encoding.ids.size() == encoding.offsets.size(), "each id has its place");
  for (std::size_t i = 0; i < encoding.ids.size(); ++i) {
    const TextSpan span = encoding.offsets[i];
    require(encoding.ids[i] >= 0 && encoding.ids[i] < tokenizer.size(), "ids are those of the vocabulary");
    require(span.begin <= span.end && span.end <= text.size(), "places lie within the text");
    require(tokenizer.token_to_id(tokenizer.id_to_token(encoding.ids[i])) == encoding.ids[i], "an id has one name");
  }
  const std::string decoded = tokenizer.decode(encoding.ids);
  require(is_valid_utf8(decoded), "a decoded text is UTF-8");
  StreamDecoder stream(tokenizer);
  std::string streamed;
  for (const std::int64_t id : encoding.ids) streamed += stream.push(id);
  require(streamed + stream.finish() == decoded, "pieces of a stream make the text");
  require(tokenizer.encode(text).ids == encoding.ids, "a text has one encoding");
  const std::vector<TextSpan> all = {{0, text.size()}};
  for (const std::int64_t id : tokenizer.encode_with_escapes(text, all).ids) {
    require(id >= 0 && id < tokenizer.size(), "ids are those of the vocabulary");
  }
}

}  // namespace shine::fuzz
