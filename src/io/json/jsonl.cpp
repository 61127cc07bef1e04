#include "io/json/jsonl.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "io/files/posix_file.h"
#include "io/json/json_parser.h"
#include "shine/common/error.h"

namespace shine {
namespace {

/// Hands out the lines of a file, reading it in chunks.
class LineReader {
 public:
  LineReader(const std::filesystem::path& path, std::size_t max_line_bytes)
      : path_(path), file_(open_for_reading(path)), chunk_(read_chunk(file_)), max_line_bytes_(max_line_bytes) {}

  /// The next line without its newline, valid until the next call; false at the end of the file.
  bool next(std::string_view& line) {
    ++number_;
    std::size_t searched = 0;
    while (true) {
      const std::size_t newline = buffer_.find('\n', start_ + searched);
      const bool found = newline != std::string::npos;
      const std::size_t length = (found ? newline : buffer_.size()) - start_;
      if (length > max_line_bytes_) {
        throw FormatError(str("line over ", max_line_bytes_, " bytes"), str(path_.string(), ":", number_));
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

  std::size_t number() const { return number_; }

 private:
  void refill() {
    buffer_.erase(0, std::exchange(start_, 0));
    const std::size_t kept = buffer_.size();
    buffer_.resize(kept + chunk_);
    const std::size_t got = read_some(file_, buffer_.data() + kept, chunk_, path_);
    buffer_.resize(kept + got);
    at_end_ = got < chunk_;
  }

  std::filesystem::path path_;
  FileDescriptor file_;
  std::size_t chunk_;
  std::size_t max_line_bytes_;
  std::string buffer_;
  std::size_t start_ = 0;
  std::size_t number_ = 0;
  bool at_end_ = false;
};

}  // namespace

void read_lines(const std::filesystem::path& path, const std::function<bool(std::size_t, std::string_view)>& take,
                std::size_t max_line_bytes) {
  LineReader lines(path, max_line_bytes);
  for (std::string_view line; lines.next(line);) {
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    if (!take(lines.number(), line)) return;
  }
}

void read_jsonl(const std::filesystem::path& path, const std::function<void(std::size_t, nlohmann::json&&)>& take,
                std::size_t max_line_bytes) {
  const auto parse = [&](std::size_t number, std::string_view line) {
    take(number, parse_json_from_line(line, path.string(), number));
    return true;
  };
  read_lines(path, parse, max_line_bytes);
}

}  // namespace shine
