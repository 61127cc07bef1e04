#include "prepare/sentencepiece_trainer.h"

#include <sentencepiece_trainer.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "io/files/atomic_folder.h"
#include "io/files/text_file.h"
#include "io/json/quote_text.h"
#include "prepare/contained_call.h"
#include "shine/common/error.h"
#include "shine/text/special_tokens.h"
#include "text/sentencepiece/sentencepiece_file.h"
#include "text/sentencepiece/sentencepiece_normalizer.h"
#include "text/unicode/utf8.h"

namespace shine {
namespace {

using nlohmann::json;

class Lines final : public sentencepiece::SentenceIterator {
 public:
  explicit Lines(const std::vector<std::string>& lines) : lines_(lines) {}
  bool done() const override { return next_ == lines_.size(); }
  void Next() override { ++next_; }
  const std::string& value() const override { return lines_[next_]; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  const std::vector<std::string>& lines_;
  std::size_t next_ = 0;
};

void check_word(const std::string& word) {
  if (word.empty() || !is_valid_utf8(word) || word.find_first_of(" ,\"\t\r\n") != std::string::npos)
    throw ConfigError(str("the word \"", replace_invalid_utf8(word), "\""), {},
                      "a word is valid UTF-8 without spaces, commas and quotes");
}

std::string one_line(std::string message) {
  std::replace(message.begin(), message.end(), '\n', ' ');
  return message;
}

// The library's own words for why it ended the process, "file(line) [condition] ..": the line before the last one,
// which says only that it ended.
std::string reason_in(std::string_view console) {
  std::string reason;
  while (!console.empty()) {
    const std::size_t end = std::min(console.find('\n'), console.size());
    const std::string_view line = console.substr(0, end);
    if (!line.empty() && line.find("unrecoverable error") == std::string_view::npos) reason = line;
    console.remove_prefix(std::min(end + 1, console.size()));
  }
  return reason.empty() ? "no reason given" : quote_text(reason);
}

constexpr char kTrained = '+';
constexpr char kRefused = '-';

// A model, or ConfigError with the library's words. Where its input leaves it nothing to do, the library does not
// report but ends the process.
std::string train_model(const std::unordered_map<std::string, std::string>& arguments,
                        const std::vector<std::string>& lines) {
  const ContainedResult outcome = run_contained([&] {
    Lines sentences(lines);
    std::string model;
    const auto status = sentencepiece::SentencePieceTrainer::Train(arguments, &sentences, &model);
    return status.ok() ? kTrained + model : kRefused + std::string(status.error_message());
  });
  constexpr const char* where = "sentencepiece";
  if (!outcome.returned)
    throw ConfigError("the library gave up: " + reason_in(outcome.console), where,
                      "give it more text, and not all of its words as --words, or lower --vocab-size");
  if (outcome.value.front() == kRefused) throw ConfigError(one_line(outcome.value.substr(1)), where);
  return outcome.value.substr(1);
}

json config_json(const std::vector<std::string>& special_tokens, std::int64_t first) {
  json decoder = json::object();
  for (const std::string& content : special_tokens) {
    decoder[std::to_string(first++)] = {{"content", content}, {"lstrip", false},      {"normalized", false},
                                        {"rstrip", false},    {"single_word", false}, {"special", true}};
  }
  json config = {{"tokenizer_class", "LlamaTokenizer"},
                 {"add_bos_token", false},
                 {"add_eos_token", false},
                 {"bos_token", nullptr},
                 {"unk_token", "<unk>"},
                 {"legacy", true},
                 {"clean_up_tokenization_spaces", false},
                 {"model_max_length", 131072},
                 {"added_tokens_decoder", std::move(decoder)}};
  const auto name = [&](const char* key, std::string_view token) {
    config[key] = nullptr;
    if (std::find(special_tokens.begin(), special_tokens.end(), token) != special_tokens.end()) config[key] = token;
  };
  name("eos_token", kMessageEnd);
  name("pad_token", kTextEnd);
  return config;
}

}  // namespace

SentencePieceTrainer::SentencePieceTrainer(SentencePieceTrainerOptions options) : options_(std::move(options)) {
  const auto special = static_cast<std::int64_t>(options_.special_tokens.size());
  if (options_.vocabulary_size <= special || options_.vocabulary_size > 1 << 20)
    throw ConfigError(str("a vocabulary of ", options_.vocabulary_size, ": expected ", special + 1, " to ", 1 << 20));
  if (!(options_.character_coverage >= 0.98 && options_.character_coverage <= 1.0))
    throw ConfigError(str("character coverage ", options_.character_coverage, ": expected 0.98 to 1"));
  for (const std::string& word : options_.words) check_word(word);
}

void SentencePieceTrainer::add_text(std::string_view text) {
  const std::string valid = replace_invalid_utf8(text);
  for (std::size_t begin = 0; begin < valid.size();) {
    const std::size_t end = std::min(valid.find('\n', begin), valid.size());
    if (end > begin) lines_.push_back(valid.substr(begin, end - begin));
    begin = end + 1;
  }
}

std::int64_t SentencePieceTrainer::write(const std::filesystem::path& directory) const {
  if (lines_.empty()) throw ConfigError("the texts are empty: there is nothing to learn from");
  const auto special = static_cast<std::int64_t>(options_.special_tokens.size());
  std::size_t longest = 9;  // the library takes no limit below 10
  for (const std::string& line : lines_) longest = std::max(longest, line.size());
  std::vector<std::string> words;
  for (const std::string& word : options_.words) words.push_back(std::string(kSpaceMark) + word);
  const std::unordered_map<std::string, std::string> arguments = {
      {"model_type", options_.kind == SentencePieceModelKind::unigram ? "unigram" : "bpe"},
      {"vocab_size", std::to_string(options_.vocabulary_size - special)},
      {"hard_vocab_limit", options_.kind == SentencePieceModelKind::unigram ? "false" : "true"},
      {"byte_fallback", options_.byte_fallback ? "true" : "false"},
      {"character_coverage", std::to_string(options_.character_coverage)},
      {"normalization_rule_name", options_.normalization},
      {"max_sentence_length", std::to_string(longest + 1)},
      {"user_defined_symbols", join(words, ",")},
      {"bos_id", "-1"},
      {"eos_id", "-1"},
      {"pad_id", "-1"},
      {"minloglevel", "3"}};
  const std::string model = train_model(arguments, lines_);

  make_folder(directory);
  write_file_atomically(directory / "tokenizer.model", model);
  const auto pieces = static_cast<std::int64_t>(read_sentencepiece_file(directory / "tokenizer.model").pieces.size());
  write_file_atomically(directory / "tokenizer_config.json",
                        config_json(options_.special_tokens, pieces).dump(1) + '\n');
  return pieces + special;
}

}  // namespace shine
