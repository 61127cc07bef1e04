// Text to token ids and back, line by line: JSON strings in, JSON arrays out, or the reverse.
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "command_line.h"
#include "io/json/json_file.h"
#include "shine/common/error.h"
#include "shine/text/tokenizer.h"
#include "text/json_text.h"

namespace {

using nlohmann::json;

struct Options {
  std::filesystem::path tokenizer;
  bool decode = false;
  bool skip_special = false;
  bool escape_special = false;
};

std::string encode_line(const shine::Tokenizer& tokenizer, const Options& options, const std::string& line,
                        const std::string& where) {
  const auto treatment = options.escape_special ? shine::SpecialTokens::escape : shine::SpecialTokens::parse;
  return json(tokenizer.encode(shine::parse_json_text(line, where), treatment).ids).dump();
}

std::string decode_line(const shine::Tokenizer& tokenizer, const Options& options, const std::string& line,
                        const std::string& where) {
  const json value = shine::parse_json(line, where);
  std::vector<std::int64_t> ids;
  if (!value.is_array()) throw shine::FormatError("expected a JSON array of token ids", where);
  for (const json& id : value) {
    const bool fits = id.is_number_unsigned() && id.get<std::uint64_t>() <= INT64_MAX;
    if (!fits) throw shine::FormatError("expected token ids: integers, 0 or more", where, "found " + id.dump());
    ids.push_back(id.get<std::int64_t>());
  }
  return json(tokenizer.decode(ids, options.skip_special)).dump();
}

int run(const Options& options) {
  const auto tokenizer = shine::load_tokenizer(options.tokenizer);
  const auto convert = options.decode ? decode_line : encode_line;
  std::string line;
  for (std::size_t number = 1; std::getline(std::cin, line); ++number) {
    std::cout << convert(*tokenizer, options, line, shine::str("standard input:", number)) << std::endl;
    if (!std::cout) throw shine::IoError("cannot write to standard output");
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  Options options;
  CLI::App app("Reads one JSON string a line from standard input and prints one JSON array of token ids a line.");
  auto* tokenizer = app.add_option("--tokenizer", options.tokenizer,
                                   "Hugging Face model directory, a tokenizer.json or a .model file");
  shine::is_path(tokenizer)->required();
  auto* decode = app.add_flag("--decode", options.decode, "The other way: arrays of ids in, strings out");
  app.add_flag("--skip-special", options.skip_special, "With --decode: leave special tokens out")->needs(decode);
  app.add_flag("--escape-special", options.escape_special, "Read the strings of added tokens as ordinary text")
      ->excludes(decode);
  app.footer("Example: echo '\"some text\"' | shine_tokenize --tokenizer configs/tiny-text/backbone");
  return shine::run_command_line("shine_tokenize", app, argc, argv, [&] { return run(options); });
}
