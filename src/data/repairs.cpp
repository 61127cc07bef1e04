#include "data/repairs.h"

#include "shine/common/error.h"
#include "shine/common/logging.h"
#include "text/unicode/utf8.h"

namespace shine {
namespace {

constexpr std::size_t kFewBytes = 16;  // say nothing about the encoding

std::size_t count_invalid_bytes(std::string_view bytes) {
  std::size_t count = 0;
  for (std::size_t at = 0; at < bytes.size();) {
    const Utf8Unit unit = next_utf8_unit(bytes.substr(at));
    if (unit.kind != Utf8Unit::Kind::character) count += unit.length;
    at += unit.length;
  }
  return count;
}

}  // namespace

void Repairs::count(std::string_view record) {
  ++records_;
  bytes_ += record.size();
  if (is_valid_utf8(record)) return;
  ++damaged_records_;
  damaged_bytes_ += count_invalid_bytes(record);
}

void Repairs::report() const {
  const std::string cure = "convert it, if it is in another encoding: iconv -f WINDOWS-1252 -t UTF-8";
  if (damaged_bytes_ >= kFewBytes && damaged_bytes_ >= bytes_ / 4) {
    throw FormatError(str("no text in UTF-8: ", damaged_bytes_, " of ", bytes_, " bytes are no part of a character"),
                      file_.string(), cure);
  }
  if (damaged_records_ == 0 || damaged_records_ * 10 < records_) return;
  log_once(LogLevel::warning,
           str(file_.string(), ": ", damaged_records_, " of ", records_, " texts hold bytes that are no UTF-8; ",
               damaged_bytes_, " bytes became U+FFFD (", cure, ")"));
}

}  // namespace shine
