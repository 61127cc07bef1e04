#include <algorithm>
#include <nlohmann/json.hpp>

#include "fuzz/fuzz_target.h"
#include "io/json/jsonl.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace shine;
  const std::string_view input = fuzz::as_text(data, size);
  static fuzz::MemoryFile file;
  file.write(input);
  const auto most = static_cast<std::size_t>(std::count(input.begin(), input.end(), '\n')) + 1;
  std::size_t last = 0;
  std::size_t bytes = 0;
  read_lines(file.path(), [&](std::size_t number, std::string_view line) {
    fuzz::require(number > last && number <= most, "lines come in order");
    fuzz::require(line.find('\n') == std::string_view::npos, "a line has no newline within");
    last = number;
    bytes += line.size();
    return true;
  });
  fuzz::require(bytes <= size, "lines are parts of the file");
  constexpr std::size_t max_line_bytes = 64;
  fuzz::accepts([&] { read_jsonl(file.path(), [](std::size_t, nlohmann::json&&) {}); });
  fuzz::accepts([&] {
    read_jsonl(
        file.path(), [](std::size_t, nlohmann::json&&) {}, TextForm::bytes, max_line_bytes);
  });
  return 0;
}
