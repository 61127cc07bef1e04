// JSON texts, and JSON strings with the repairs that text files get.
#include <nlohmann/json.hpp>

#include "fuzz/fuzz_target.h"
#include "io/json/json_file.h"
#include "text/json_text.h"
#include "text/unicode/utf8.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace shine;
  const std::string_view input = fuzz::as_text(data, size);
  nlohmann::json value;
  const bool accepted = fuzz::accepts([&] { value = parse_json(input, "x"); });
  if (accepted) {
    const std::string written = value.dump();
    // A number beyond the doubles is written as null.
    fuzz::require(parse_json(written, "x").dump() == written, "a written value reads back");
  }
  const std::string repaired = repair_json(input);
  fuzz::require(is_valid_utf8(repaired), "a repaired text is UTF-8");
  fuzz::require(!accepted || repaired == input, "a sound text needs no repair");
  fuzz::require(repair_json(repaired) == repaired, "a repaired text needs no repair");
  std::string text;
  if (fuzz::accepts([&] { text = parse_json_text(input, "x"); })) {
    fuzz::require(parse_json_text(nlohmann::json(text).dump(), "x") == text, "a written string reads back");
  }
  return 0;
}
