#include "data/convert/json_records.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "data/repairs.h"
#include "io/json/json_file.h"
#include "io/json/json_parser.h"
#include "io/json/jsonl.h"
#include "shine/common/error.h"
#include "text/json_text.h"

namespace shine {
namespace {

constexpr std::string_view kJsonSpace = " \t\r\n";

/// Finds the comma or bracket that ends an element of an array, byte after byte.
class ElementScanner {
 public:
  bool ends_at(char c) {
    if (in_string_) {
      if (!is_escaped_ && c == '"') in_string_ = false;
      is_escaped_ = !is_escaped_ && c == '\\';
      return false;
    }
    if (depth_ == 0 && (c == ',' || c == ']')) return true;
    if (c == '"') in_string_ = true;
    if (c == '[' || c == '{') ++depth_;
    if ((c == ']' || c == '}') && depth_ > 0) --depth_;
    return false;
  }

 private:
  bool in_string_ = false;
  bool is_escaped_ = false;
  std::size_t depth_ = 0;
};

/// A JSON text as a row of bytes and elements.
class JsonPieces {
 public:
  explicit JsonPieces(const std::filesystem::path& path) : source_(path, TextForm::utf8) {}

  /// The next byte that is no white space, which stays; nothing at the end of the file.
  std::optional<char> peek() {
    do {
      begin_ = std::min(text_.find_first_not_of(kJsonSpace, begin_), text_.size());
    } while (begin_ == text_.size() && refill());
    return begin_ < text_.size() ? std::optional(text_[begin_]) : std::nullopt;
  }

  void skip() { ++begin_; }

  /// The element of an array that starts here, to the comma or bracket behind it or the file's end; taken.
  std::string take_element(const std::string& where) {
    ElementScanner scanner;
    std::size_t length = 0;
    while (true) {
      if (begin_ + length == text_.size() && !refill()) break;
      if (scanner.ends_at(text_[begin_ + length])) break;
      if (++length > kMaxJsonlLineBytes) throw FormatError(str("item over ", kMaxJsonlLineBytes, " bytes"), where);
    }
    begin_ += length;
    return text_.substr(begin_ - length, length);
  }

 private:
  /// False at the end of the file.
  bool refill() {
    constexpr std::size_t largest_piece = std::size_t{1} << 20;
    text_.erase(0, begin_);
    begin_ = 0;
    const std::size_t kept = text_.size();
    text_.resize(kept + piece_);
    const std::size_t got = source_.read(text_.data() + kept, piece_);
    text_.resize(kept + got);
    piece_ = std::min(2 * piece_, largest_piece);
    return got > 0;
  }

  TextInput source_;
  std::string text_;
  std::size_t begin_ = 0;
  std::size_t piece_ = 4096;
};

/// @param pieces  at the opening bracket
void read_elements(JsonPieces& pieces, const std::filesystem::path& path, const TakeJsonRecord& take) {
  const std::string name = path.string();
  Repairs repairs(path);
  pieces.skip();
  bool goes_on = pieces.peek() != ']';
  for (std::size_t number = 1; goes_on; ++number) {
    pieces.peek();
    const std::string where = str(name, ": item ", number);
    const std::string element = pieces.take_element(where);
    repairs.count(element);
    take(number, where, parse_json(repair_json(element), where));
    goes_on = pieces.peek() == ',';
    if (goes_on) pieces.skip();
  }
  if (pieces.peek() != ']') throw FormatError("the file ends within its array", name);
  pieces.skip();
  if (pieces.peek()) throw FormatError("text after the end of the array", name);
  repairs.report();
}

}  // namespace

void read_json_records(const std::filesystem::path& path, const TakeJsonRecord& take) {
  JsonPieces pieces(path);
  if (pieces.peek() == '[') return read_elements(pieces, path, take);
  const std::string name = path.string();
  Repairs repairs(path);
  const auto take_line = [&](std::size_t number, std::string_view line) {
    repairs.count(line);
    take(number, str(name, ":", number), parse_json_from_line(repair_json(line), name, number));
    return true;
  };
  read_lines(path, take_line, TextForm::utf8);
  repairs.report();
}

}  // namespace shine
