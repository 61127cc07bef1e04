// Repair of UTF-8 and NFC, with the places that they keep.
#include "text/unicode/utf8.h"

#include "fuzz/fuzz_target.h"
#include "text/unicode/nfc.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace shine;
  const std::string_view input = fuzz::as_text(data, size);
  OffsetMap offsets;
  const std::string text = replace_invalid_utf8(input, &offsets);
  fuzz::require(is_valid_utf8(text), "a repaired text is UTF-8");
  fuzz::require(is_valid_utf8(input) == (text == input && offsets.is_identity()), "only broken texts are repaired");
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = next_utf8_unit(std::string_view(text).substr(at)).length;
    const TextSpan source = offsets.to_source({at, at + length});
    fuzz::require(source.begin < source.end && source.end <= size, "a character has its place in the input");
    fuzz::require(previous_character(text, at + length).length == length, "a character is the same from its end");
    at += length;
  }
  const NormalizedText normalized = normalize_nfc(text);
  fuzz::require(is_valid_utf8(normalized.text), "a normalised text is UTF-8");
  fuzz::require(normalize_nfc(normalized.text).text == normalized.text, "a normalised text is normal");
  fuzz::require(!is_plainly_nfc(text) || normalized.text == text, "a normal text stays");
  for (std::size_t at = 0; at < normalized.text.size(); ++at) {
    const TextSpan source = normalized.offsets.to_source({at, at + 1});
    fuzz::require(source.begin <= source.end && source.end <= text.size(), "a byte has its place in the text");
  }
  return 0;
}
