#include "io/files/text_input.h"

#include <algorithm>

#include "io/files/text_kind.h"
#include "shine/common/error.h"
#include "shine/common/logging.h"

namespace shine {
namespace {

constexpr std::size_t kHeadBytes = 8000;  // as many as git looks at
constexpr std::size_t kPieceBytes = std::size_t{64} << 10;

}  // namespace

TextInput::TextInput(const std::filesystem::path& path, TextForm form)
    : source_(form == TextForm::bytes ? open_plain(path) : open_by_name(path)) {
  if (form == TextForm::bytes) return;
  head_.resize(kHeadBytes);
  head_.resize(source_->read(head_.data(), head_.size()));
  const TextStart start = read_text_start(head_);
  is_wide_ = start.wide.has_value();
  if (is_wide_ && form == TextForm::utf8) {
    const std::string name = str("UTF-", 8 * start.wide->unit_bytes);
    throw FormatError(name + " by its byte order mark; JSON is UTF-8", path.string(),
                      str("convert it: iconv -f ", name, " -t UTF-8"));
  }
  if (const auto fault = is_wide_ ? std::nullopt : find_no_text(head_)) {
    throw FormatError(fault->what, fault->line == 0 ? path.string() : str(path.string(), ":", fault->line), fault->cure);
  }
  if (is_wide_) {
    log_once(LogLevel::warning,
             str(path.string(), ": UTF-", 8 * start.wide->unit_bytes, " by its byte order mark, decoded as such"));
  }
  encoding_ = start.wide.value_or(WideEncoding{});
  head_begin_ = start.mark_bytes;
}

std::size_t TextInput::read_bytes(char* into, std::size_t bytes) {
  const std::size_t of_head = std::min(bytes, head_.size() - head_begin_);
  head_.copy(into, of_head, head_begin_);
  head_begin_ += of_head;
  return of_head + source_->read(into + of_head, bytes - of_head);
}

void TextInput::decode_more() {
  decoded_.clear();
  decoded_begin_ = 0;
  const std::size_t kept = packed_.size();
  packed_.resize(kept + kPieceBytes);
  const std::size_t got = read_bytes(packed_.data() + kept, kPieceBytes);
  packed_.resize(kept + got);
  at_end_ = got < kPieceBytes;
  packed_.erase(0, append_wide_text(encoding_, packed_, at_end_, decoded_));
}

std::size_t TextInput::read(char* into, std::size_t bytes) {
  if (!is_wide_) return read_bytes(into, bytes);
  std::size_t got = 0;
  while (got < bytes) {
    if (decoded_begin_ == decoded_.size()) {
      if (at_end_) break;
      decode_more();
    }
    const std::size_t count = decoded_.copy(into + got, bytes - got, decoded_begin_);
    decoded_begin_ += count;
    got += count;
  }
  return got;
}

std::string read_foreign_text(const std::filesystem::path& path, TextForm form, std::size_t max_bytes) {
  constexpr std::size_t first_piece = 4096, largest_piece = std::size_t{1} << 20;
  TextInput source(path, form);
  std::string text;
  for (std::size_t piece = first_piece;; piece = std::min(2 * piece, largest_piece)) {
    const std::size_t before = text.size();
    text.resize(before + piece);
    const std::size_t got = source.read(text.data() + before, piece);
    text.resize(before + got);
    if (text.size() > max_bytes) throw FormatError(str("expected at most ", max_bytes, " bytes"), path.string());
    if (got < piece) return text;
  }
}

}  // namespace shine
