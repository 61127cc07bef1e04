#include "text/vocabulary_files.h"

#include <nlohmann/json.hpp>
#include <set>

#include "io/files/text_file.h"
#include "io/json/json_file.h"
#include "io/json/quote_text.h"
#include "shine/common/error.h"
#include "text/bpe/bpe_vocabulary.h"
#include "text/bpe/known_patterns.h"
#include "text/tokenizer_class.h"

namespace shine {
namespace {

enum class Kind { gpt2, qwen2 };

Kind kind_of(const std::filesystem::path& folder) {
  const std::string name = tokenizer_class(folder, /*general=*/false);
  if (name == "Qwen2Tokenizer") return Kind::qwen2;
  if (name == "GPT2Tokenizer") return Kind::gpt2;
  throw UnsupportedError(
      name.empty() ? std::string("there is no tokenizer.json, and neither tokenizer_class in tokenizer_config.json nor "
                                 "model_type in config.json says how vocab.json and merges.txt are read")
                   : str("this program does not support vocab.json and merges.txt of the class ", quote_text(name),
                         " without a tokenizer.json"),
      folder.string(), "put the model's tokenizer.json there");
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

std::vector<std::string_view> words_of(std::string_view line) {
  constexpr std::string_view spaces = " \t\r\f\v";
  std::vector<std::string_view> words;
  for (std::size_t begin = line.find_first_not_of(spaces); begin != std::string_view::npos;) {
    const std::size_t end = std::min(line.find_first_of(spaces, begin), line.size());
    words.push_back(line.substr(begin, end - begin));
    begin = line.find_first_not_of(spaces, end);
  }
  return words;
}

// A merge a line. GPT-2's reader leaves out the first and the last line whatever they hold, Qwen2's a first line that
// names the version, and empty lines.
std::vector<BpeMerge> read_merges(const std::filesystem::path& path, Kind kind,
                                  const StringMap<std::int32_t>& vocabulary) {
  const std::string text = read_text_file(path);
  const std::vector<std::string_view> lines = lines_of(text);
  std::vector<BpeMerge> merges;
  std::set<std::pair<std::int32_t, std::int32_t>> seen;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::vector<std::string_view> words = words_of(lines[i]);
    const bool is_frame = i == 0 || i + 1 == lines.size();
    const bool is_header = i == 0 && !words.empty() && words[0].starts_with("#version:");
    if (kind == Kind::gpt2 ? is_frame : is_header || words.empty()) continue;
    const std::string where = str(path.string(), ':', i + 1);
    if (words.size() != 2) throw FormatError(str("expected two tokens, found ", words.size()), where);
    const BpeMerge merge = make_merge(vocabulary, words[0], words[1], where);
    if (seen.emplace(merge.left, merge.right).second) merges.push_back(merge);  // of equal pairs the first counts
  }
  return merges;
}

std::vector<PreTokenizerStep> pre_tokenizer_of(Kind kind, bool add_prefix_space) {
  PreTokenizerStep split;
  PreTokenizerStep bytes;
  bytes.add_prefix_space = add_prefix_space;
  if (kind == Kind::gpt2) {
    bytes.pattern = SplitPattern(kGpt2Pattern, kVocabularyFile);
    return {bytes};
  }
  split.pattern = SplitPattern(kQwenPattern, kVocabularyFile);
  return {split, bytes};
}

bool adds_prefix_space(const std::filesystem::path& folder) {
  const std::filesystem::path config = folder / "tokenizer_config.json";
  if (!std::filesystem::exists(config)) return false;
  return get_bool_or(read_json_file(config), "add_prefix_space", false, config.string());
}

}  // namespace

bool has_vocabulary_files(const std::filesystem::path& folder) {
  return std::filesystem::exists(folder / kVocabularyFile) && std::filesystem::exists(folder / "merges.txt");
}

TokenizerFile read_vocabulary_files(const std::filesystem::path& folder) {
  const Kind kind = kind_of(folder);
  TokenizerFile result;
  result.nfc = kind == Kind::qwen2;
  result.pre_tokenizer = pre_tokenizer_of(kind, adds_prefix_space(folder));
  result.byte_level_alone = kind == Kind::gpt2;
  const std::filesystem::path vocabulary = folder / kVocabularyFile;
  result.model.vocabulary = read_vocabulary(read_json_file(vocabulary), vocabulary.string());
  result.model.merges = read_merges(folder / "merges.txt", kind, result.model.vocabulary);
  return result;
}

}  // namespace shine
