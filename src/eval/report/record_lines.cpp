#include "eval/report/record_lines.h"

#include <fstream>
#include <limits>

#include "io/json/json_file.h"
#include "io/json/json_parser.h"
#include "io/json/jsonl.h"

namespace shine {
namespace {

bool ends_with_newline(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  in.seekg(-1, std::ios::end);
  return in.get() == '\n';
}

void take_line(std::string_view text, const std::string& where, std::size_t number, const TakeRecord& take) {
  const nlohmann::json line = parse_json_from_line(text, where, number);
  const std::string place = str(where, ":", number);
  take(get_string(line, "kind", place), line, place);
}

}  // namespace

void RecordReader::value(const char* key, std::string& value) {
  value = get_string(line_, key, where_);
}

void RecordReader::value(const char* key, bool& value) {
  value = get_bool(line_, key, where_);
}

void RecordReader::value(const char* key, std::int64_t& value) {
  constexpr std::int64_t most = 1'000'000'000'000'000;
  value = get_int(line_, key, where_);
  require(value >= 0 && value <= most, key, "a number from 0 to 1e15");
}

void RecordReader::value(const char* key, double& value) {
  value = get_double(line_, key, where_);
  require(value >= 0, key, "a number of at least 0");
}

void RecordReader::value(const char* key, std::vector<std::string>& values) {
  for (const nlohmann::json& entry : get_array(line_, key, where_)) {
    require(entry.is_string(), key, "strings");
    values.push_back(entry.get<std::string>());
  }
}

void RecordReader::score(const char* key, double& value) {
  value = get_double(line_, key, where_);
  require(value >= 0 && value <= 1, key, "a number from 0 to 1");
}

void RecordReader::optional_value(const char* key, double& value) {
  value = get_double_or(line_, key, std::numeric_limits<double>::quiet_NaN(), where_);
}

void RecordReader::optional_value(const char* key, std::int64_t& value) {
  value = 0;
  if (line_.contains(key)) this->value(key, value);
}

void RecordReader::require(bool holds, const char* key, const std::string& expected) const {
  if (!holds) throw FormatError(str("'", key, "': expected ", expected), where_);
}

void parse_record_lines(std::string_view text, const std::string& where, const TakeRecord& take) {
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    take_line(text.substr(0, end), where, number, take);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

void read_record_lines(const std::filesystem::path& file, const TakeRecord& take) {
  const auto read = [&](std::size_t number, std::string_view text) { take_line(text, file.string(), number, take); };
  // Each line is read when the next one has come: only the last may lack its newline.
  std::size_t held_number = 0;
  std::string held;
  read_lines(file, [&](std::size_t number, std::string_view line) {
    if (held_number > 0) read(held_number, held);
    held_number = number;
    held = line;
    return true;
  });
  if (held_number > 0 && ends_with_newline(file)) read(held_number, held);
}

}  // namespace shine
