#include "data/convert/json_records.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "io/files/mapped_file.h"
#include "io/json/json_file.h"
#include "io/json/json_parser.h"
#include "io/json/jsonl.h"
#include "shine/common/error.h"
#include "text/json_text.h"

namespace shine {
namespace {

constexpr std::string_view kJsonSpace = " \t\r\n";
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

void skip_space(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(kJsonSpace), text.size()));
}

/// Where a string ends whose opening quote was before `at`.
std::size_t after_string(std::string_view text, std::size_t at) {
  while (at < text.size() && text[at] != '"') at += text[at] == '\\' ? 2 : 1;
  return std::min(at + 1, text.size());
}

/// Bytes up to the comma or bracket that ends the element of an array at the start of `text`; all where none does.
std::size_t element_length(std::string_view text) {
  std::size_t depth = 0;
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (c == '"') {
      at = after_string(text, at + 1);
      continue;
    }
    if (depth == 0 && (c == ',' || c == ']')) return at;
    if (c == '[' || c == '{') ++depth;
    if ((c == ']' || c == '}') && depth > 0) --depth;
    ++at;
  }
  return text.size();
}

/// @param text  what follows the opening bracket
void read_elements(std::string_view text, const std::string& name, const TakeJsonRecord& take) {
  skip_space(text);
  bool goes_on = !text.starts_with(']');
  for (std::size_t number = 1; goes_on; ++number) {
    skip_space(text);
    const std::string where = str(name, ": item ", number);
    const std::size_t length = element_length(text);
    if (length > kMaxJsonlLineBytes) throw FormatError(str("item over ", kMaxJsonlLineBytes, " bytes"), where);
    take(number, where, parse_json(repair_json(text.substr(0, length)), where));
    text.remove_prefix(length);
    goes_on = text.starts_with(',');
    if (goes_on) text.remove_prefix(1);
  }
  if (!text.starts_with(']')) throw FormatError("the file ends within its array", name);
  text.remove_prefix(1);
  skip_space(text);
  if (!text.empty()) throw FormatError("text after the end of the array", name);
}

}  // namespace

void read_json_records(const std::filesystem::path& path, const TakeJsonRecord& take) {
  const std::string name = path.string();
  {
    const MappedFile file(path);
    std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
    if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
    skip_space(text);
    if (text.starts_with('[')) return read_elements(text.substr(1), name, take);
  }
  read_lines(path, [&](std::size_t number, std::string_view line) {
    take(number, str(name, ":", number), parse_json_from_line(repair_json(line), name, number));
    return true;
  });
}

}  // namespace shine
