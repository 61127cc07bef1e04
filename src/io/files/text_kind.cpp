#include "io/files/text_kind.h"

#include <algorithm>
#include <array>

namespace shine {
namespace {

using namespace std::string_view_literals;

struct Mark {
  std::string_view bytes;
  std::optional<WideEncoding> wide;
};

/// UTF-32's little-endian mark begins as UTF-16's: it comes first.
constexpr std::array<Mark, 5> kMarks{{{"\xEF\xBB\xBF"sv, std::nullopt},
                                      {"\xFF\xFE\0\0"sv, WideEncoding{4, false}},
                                      {"\0\0\xFE\xFF"sv, WideEncoding{4, true}},
                                      {"\xFF\xFE"sv, WideEncoding{2, false}},
                                      {"\xFE\xFF"sv, WideEncoding{2, true}}}};

constexpr std::string_view kUnpack = "unpack it";
constexpr std::string_view kExport = "export its text";

struct Signature {
  std::string_view bytes;
  NoText fault;
};

constexpr std::array<Signature, 14> kSignatures{{
    {"\x1f\x8b"sv, {"a gzip file under another name", "add .gz to its name, as in a.txt.gz, or unpack it"}},
    {"\x28\xb5\x2f\xfd"sv, {"a zstd file under another name", "add .zst to its name, as in a.txt.zst, or unpack it"}},
    {"BZh91AY&SY"sv, {"a bzip2 file", kUnpack}},
    {"\xfd\x37zXZ\0"sv, {"an xz file", kUnpack}},
    {"\x04\x22\x4d\x18"sv, {"an lz4 file", kUnpack}},
    {"PK\x03\x04"sv, {"a zip archive", kUnpack}},
    {"7z\xbc\xaf\x27\x1c"sv, {"a 7z archive", kUnpack}},
    {"Rar!\x1a\x07"sv, {"a rar archive", kUnpack}},
    {"PAR1\x15"sv, {"a parquet file", "export it as JSON lines"}},
    {"ARROW1\0"sv, {"an arrow file", "export it as JSON lines"}},
    {"%PDF-"sv, {"a PDF document", kExport}},
    {"\xd0\xcf\x11\xe0"sv, {"a document of an office program", kExport}},
    {"\x89HDF"sv, {"an HDF5 file", kExport}},
    {"SQLite format 3\0"sv, {"an SQLite data base", kExport}},
}};

/// Zero bytes at the places of each remainder by four.
std::array<std::size_t, 4> count_zeros(std::string_view head) {
  std::array<std::size_t, 4> zeros{};
  for (std::size_t i = 0; i < head.size(); ++i) zeros[i % 4] += head[i] == '\0' ? 1 : 0;
  return zeros;
}

NoText unmarked_utf16(std::string_view cure) {
  return {"UTF-16 without a byte order mark, by its zero bytes", cure};
}

NoText unmarked_utf32(std::string_view cure) {
  return {"UTF-32 without a byte order mark, by its zero bytes", cure};
}

}  // namespace

TextStart read_text_start(std::string_view head) {
  for (const Mark& mark : kMarks) {
    if (head.starts_with(mark.bytes)) return {mark.bytes.size(), mark.wide};
  }
  return {};
}

std::optional<NoText> find_no_text(std::string_view head) {
  for (const Signature& signature : kSignatures) {
    if (head.starts_with(signature.bytes)) return signature.fault;
  }
  const std::size_t first = head.find('\0');
  if (first == std::string_view::npos) return std::nullopt;
  const auto zeros = count_zeros(head);
  const std::size_t even = zeros[0] + zeros[2], odd = zeros[1] + zeros[3];
  const std::size_t most = head.size() / 5;  // UTF-32's two high bytes are zero in nearly every character
  if (zeros[2] > most && zeros[3] > most) return unmarked_utf32("convert it: iconv -f UTF-32LE -t UTF-8");
  if (zeros[0] > most && zeros[1] > most) return unmarked_utf32("convert it: iconv -f UTF-32BE -t UTF-8");
  const std::size_t some = head.size() / 16;  // of Chinese, its line ends
  if (odd > some && odd > 4 * even) return unmarked_utf16("convert it: iconv -f UTF-16LE -t UTF-8");
  if (even > some && even > 4 * odd) return unmarked_utf16("convert it: iconv -f UTF-16BE -t UTF-8");
  const auto line = static_cast<std::size_t>(std::ranges::count(head.substr(0, first), '\n')) + 1;
  return NoText{"no text: a zero byte", "name a file of text in UTF-8", line};
}

}  // namespace shine
