#include "text/bpe/byte_level.h"

#include <array>
#include <cstdint>

#include "text/unicode/utf8.h"

namespace shine {
namespace {

constexpr std::size_t kBytes = 256;
constexpr char32_t kShifted = 256;   // the unprintable bytes are spelled from here on
constexpr std::size_t kCodes = 324;  // one past the last character of the alphabet

struct Alphabet {
  std::array<char32_t, kBytes> character{};
  std::array<std::int16_t, kCodes> byte{};
};

constexpr bool is_printable(unsigned byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr Alphabet make_alphabet() {
  Alphabet alphabet;
  alphabet.byte.fill(-1);
  char32_t next = kShifted;
  for (unsigned byte = 0; byte < kBytes; ++byte) {
    const char32_t c = is_printable(byte) ? byte : next++;
    alphabet.character[byte] = c;
    alphabet.byte[c] = static_cast<std::int16_t>(byte);
  }
  return alphabet;
}

constexpr Alphabet kAlphabet = make_alphabet();

}  // namespace

std::string spell_bytes(std::string_view bytes) {
  std::string spelled;
  spelled.reserve(bytes.size() * 2);
  for (const char byte : bytes) append_utf8(spelled, kAlphabet.character[static_cast<unsigned char>(byte)]);
  return spelled;
}

std::optional<std::string> unspell_bytes(std::string_view spelled) {
  std::string bytes;
  for (std::size_t at = 0; at < spelled.size();) {
    const Utf8Unit unit = next_utf8_unit(spelled.substr(at));
    if (unit.code_point >= kCodes || kAlphabet.byte[unit.code_point] < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(kAlphabet.byte[unit.code_point]));
    at += unit.length;
  }
  return bytes;
}

}  // namespace shine
