#include "text/bpe/bpe_trainer.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "io/files/atomic_folder.h"
#include "io/files/text_file.h"
#include "shine/common/error.h"
#include "shine/text/special_tokens.h"
#include "text/added_vocabulary.h"
#include "text/bpe/byte_level.h"
#include "text/bpe/known_patterns.h"
#include "text/bpe/pair_learner.h"
#include "text/bpe/pre_tokenizer.h"
#include "text/unicode/nfc.h"

namespace shine {
namespace {

using nlohmann::json;

constexpr std::int64_t kBytes = 256;
constexpr std::int64_t kLargestVocabulary = 1 << 20;
constexpr std::size_t kLongestWord = 256;

PreTokenizer make_pre_tokenizer() {
  PreTokenizerStep split;
  split.pattern = SplitPattern(kQwenPattern, "trainer");
  return PreTokenizer({split});
}

json byte_level_part() {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}, {"use_regex", false}};
}

json model_part(const PairLearner& learner) {
  json vocabulary = json::object();
  std::vector<std::string> spelled;
  for (const std::string& token : learner.tokens()) {
    spelled.push_back(spell_bytes(token));
    vocabulary[spelled.back()] = spelled.size() - 1;
  }
  json merges = json::array();
  for (const BpeMerge& merge : learner.merges()) {
    merges.push_back(
        json::array({spelled[static_cast<std::size_t>(merge.left)], spelled[static_cast<std::size_t>(merge.right)]}));
  }
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", nullptr},
          {"continuing_subword_prefix", ""},
          {"end_of_word_suffix", ""},
          {"fuse_unk", false},
          {"byte_fallback", false},
          {"ignore_merges", false},
          {"vocab", std::move(vocabulary)},
          {"merges", std::move(merges)}};
}

json tokenizer_json(const PairLearner& learner, const std::vector<std::string>& special_tokens) {
  json added = json::array();
  for (const std::string& content : special_tokens) {
    added.push_back({{"id", learner.tokens().size() + added.size()},
                     {"content", content},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  }
  const json split = {
      {"type", "Split"}, {"pattern", {{"Regex", kQwenPattern}}}, {"behavior", "Isolated"}, {"invert", false}};
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", std::move(added)},
          {"normalizer", {{"type", "NFC"}}},
          {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", json::array({split, byte_level_part()})}}},
          {"post_processor", byte_level_part()},
          {"decoder", byte_level_part()},
          {"model", model_part(learner)}};
}

json config_json(const std::vector<std::string>& special_tokens) {
  json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                 {"clean_up_tokenization_spaces", false},
                 {"model_max_length", 131072}};
  const auto name = [&](const char* key, std::string_view token) {
    if (std::find(special_tokens.begin(), special_tokens.end(), token) != special_tokens.end()) config[key] = token;
  };
  name("eos_token", kMessageEnd);
  name("pad_token", kTextEnd);
  return config;
}

void check_options(const BpeTrainerOptions& options) {
  const auto smallest = kBytes + static_cast<std::int64_t>(options.special_tokens.size());
  if (options.vocabulary_size < smallest || options.vocabulary_size > kLargestVocabulary)
    throw ConfigError(str("a vocabulary of ", options.vocabulary_size, ": expected ", smallest, " (bytes and ",
                          options.special_tokens.size(), " special tokens) to ", kLargestVocabulary));
  if (options.min_frequency < 1)
    throw ConfigError(str("min_frequency ", options.min_frequency, ": expected 1 or more"));
  std::vector<std::string> sorted = options.special_tokens;
  std::sort(sorted.begin(), sorted.end());
  if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end())
    throw ConfigError("a special token is named twice");
  for (const std::string& token : sorted) {
    if (token.size() < 2 || !is_valid_utf8(token))
      throw ConfigError(str("the special token \"", replace_invalid_utf8(token), "\""), {},
                        "use at least two bytes of valid UTF-8");
  }
}

}  // namespace

struct BpeTrainer::Parts {
  BpeTrainerOptions options;
  PreTokenizer pre_tokenizer = make_pre_tokenizer();
  AddedVocabulary special_tokens;
  std::map<std::string, std::int64_t> words;

  explicit Parts(BpeTrainerOptions given) : options(std::move(given)) {
    for (const std::string& content : options.special_tokens) {
      AddedToken token;
      token.content = content;
      special_tokens.add(token, 0, content);
    }
  }

  void count_words(std::string_view text) {
    for (const Piece& piece : pre_tokenizer.split(text)) {
      const std::size_t size = piece.span.end - piece.span.begin;
      if (size <= kLongestWord) ++words[std::string(text.substr(piece.span.begin, size))];
    }
  }
};

BpeTrainer::BpeTrainer(BpeTrainerOptions options) {
  check_options(options);
  parts_ = std::make_unique<Parts>(std::move(options));
}

BpeTrainer::~BpeTrainer() = default;

void BpeTrainer::add_text(std::string_view text) {
  const std::string valid = replace_invalid_utf8(text);
  const auto never = [](TextSpan) { return false; };
  for (const auto& [id, span] : parts_->special_tokens.split(valid, AddedVocabulary::Form::raw, never)) {
    if (!id) parts_->count_words(normalize_nfc(std::string_view(valid).substr(span.begin, span.end - span.begin)).text);
  }
}

std::int64_t BpeTrainer::write(const std::filesystem::path& directory) const {
  const std::vector<std::string>& special_tokens = parts_->options.special_tokens;
  const auto special = static_cast<std::int64_t>(special_tokens.size());
  PairLearner learner(parts_->words);
  learner.learn(parts_->options.vocabulary_size - special, parts_->options.min_frequency);

  make_folder(directory);
  write_file_atomically(directory / "tokenizer.json", tokenizer_json(learner, special_tokens).dump(1) + '\n');
  write_file_atomically(directory / "tokenizer_config.json", config_json(special_tokens).dump(1) + '\n');
  return static_cast<std::int64_t>(learner.tokens().size()) + special;
}

}  // namespace shine
