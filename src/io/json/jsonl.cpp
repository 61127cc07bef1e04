#include "io/json/jsonl.h"

#include <nlohmann/json.hpp>
#include <string>

#include "io/files/text_lines.h"
#include "io/json/json_parser.h"

namespace shine {

void read_lines(const std::filesystem::path& path, const std::function<bool(std::size_t, std::string_view)>& take,
                TextForm form, std::size_t max_line_bytes) {
  TextLines lines(path, form, max_line_bytes);
  for (std::string_view line; lines.next(line);) {
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    if (!take(lines.number(), line)) return;
  }
}

void read_jsonl(const std::filesystem::path& path, const std::function<void(std::size_t, nlohmann::json&&)>& take,
                TextForm form, std::size_t max_line_bytes) {
  const auto parse = [&](std::size_t number, std::string_view line) {
    take(number, parse_json_from_line(line, path.string(), number));
    return true;
  };
  read_lines(path, parse, form, max_line_bytes);
}

}  // namespace shine
