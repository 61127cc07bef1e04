#include "io/files/text_lines.h"

#include <algorithm>
#include <utility>

#include "shine/common/error.h"

namespace shine {

TextLines::TextLines(const std::filesystem::path& path, TextForm form, std::size_t max_line_bytes)
    : path_(path), source_(path, form), max_line_bytes_(max_line_bytes) {}

bool TextLines::next(std::string_view& line) {
  ++number_;
  std::size_t searched = 0;
  while (true) {
    const std::size_t newline = buffer_.find('\n', start_ + searched);
    const bool found = newline != std::string::npos;
    const std::size_t length = (found ? newline : buffer_.size()) - start_;
    if (length > max_line_bytes_) {
      throw FormatError(str("line over ", max_line_bytes_, " bytes"), str(path_.string(), ":", number_),
                        "cut it into several");
    }
    if (found || at_end_) {
      line = std::string_view(buffer_).substr(start_, length);
      start_ += found ? length + 1 : length;
      return found || length > 0;
    }
    searched = length;
    refill();
  }
}

void TextLines::refill() {
  constexpr std::size_t largest_piece = std::size_t{1} << 20;
  buffer_.erase(0, std::exchange(start_, 0));
  const std::size_t kept = buffer_.size();
  buffer_.resize(kept + piece_);
  const std::size_t got = source_.read(buffer_.data() + kept, piece_);
  buffer_.resize(kept + got);
  at_end_ = got < piece_;
  piece_ = std::min(2 * piece_, largest_piece);
}

}  // namespace shine
