#include "text/tokenizer_file.h"

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "io/json/json_file.h"
#include "io/json/quote_text.h"
#include "shine/common/error.h"
#include "text/added_token_json.h"
#include "text/bpe/bpe_vocabulary.h"
#include "text/bpe/byte_level.h"
#include "text/bpe/known_patterns.h"

namespace shine {
namespace {

using nlohmann::json;

constexpr std::size_t kMostParts = 64;  // of a Sequence; each pattern is compiled

[[noreturn]] void refuse(const std::string& where, std::string_view part) {
  throw UnsupportedError(str("this program does not support ", part), where);
}

// The members of a `Sequence`, or the node itself.
std::vector<const json*> sequence(const json& node, const std::string& members, const std::string& where) {
  if (get_string(node, "type", where) != "Sequence") return {&node};
  std::vector<const json*> parts;
  for (const json& part : get_array(node, members, where)) {
    if (get_string(part, "type", where) == "Sequence") refuse(where, "a Sequence within a Sequence");
    parts.push_back(&part);
    if (parts.size() > kMostParts) refuse(where, str("a Sequence of more than ", kMostParts, " parts"));
  }
  return parts;
}

bool read_normalizer(const json& root, const std::string& file) {
  if (!has_value(root, "normalizer", file)) return false;
  const std::string where = file + ": normalizer";
  bool nfc = false;
  for (const json* part : sequence(get_object(root, "normalizer", file), "normalizers", where)) {
    const std::string& type = get_string(*part, "type", where);
    if (type != "NFC") refuse(where, str("the normalizer ", quote_text(type)));
    nfc = true;
  }
  return nfc;
}

PreTokenizerStep read_split(const json& node, const std::string& where) {
  static const std::map<std::string, SplitBehavior> behaviors = {
      {"Removed", SplitBehavior::removed},
      {"Isolated", SplitBehavior::isolated},
      {"MergedWithPrevious", SplitBehavior::merged_with_previous},
      {"MergedWithNext", SplitBehavior::merged_with_next},
      {"Contiguous", SplitBehavior::contiguous}};
  const std::string& behavior = get_string(node, "behavior", where);
  const auto found = behaviors.find(behavior);
  if (found == behaviors.end()) throw FormatError(str("unknown split behavior ", quote_text(behavior)), where);
  PreTokenizerStep step;
  step.behavior = found->second;
  step.invert = get_bool_or(node, "invert", false, where);
  const json& pattern = get_object(node, "pattern", where);
  const bool literal = pattern.contains("String");
  const std::string& text = get_string(pattern, literal ? "String" : "Regex", where + ".pattern");
  if (text.empty()) refuse(where, "an empty split pattern");
  step.pattern = literal ? SplitPattern::literal(text, where) : SplitPattern(text, where);
  return step;
}

PreTokenizerStep read_digits(const json& node, const std::string& where) {
  PreTokenizerStep step;
  step.pattern = SplitPattern(kDigitPattern, where);
  const bool individual = get_bool_or(node, "individual_digits", false, where);
  step.behavior = individual ? SplitBehavior::isolated : SplitBehavior::contiguous;
  return step;
}

PreTokenizerStep read_byte_level(const json& node, const std::string& where) {
  PreTokenizerStep step;
  step.add_prefix_space = get_bool_or(node, "add_prefix_space", true, where);
  if (get_bool_or(node, "use_regex", true, where)) step.pattern = SplitPattern(kGpt2Pattern, where);
  return step;
}

std::vector<PreTokenizerStep> read_pre_tokenizer(const json& root, const std::string& file) {
  const std::string where = file + ": pre_tokenizer";
  const auto without_bytes = [&] { refuse(where, "a pre_tokenizer whose last part is not ByteLevel"); };
  if (!has_value(root, "pre_tokenizer", file)) without_bytes();
  std::vector<PreTokenizerStep> steps;
  bool byte_level = false;
  for (const json* part : sequence(get_object(root, "pre_tokenizer", file), "pretokenizers", where)) {
    const std::string& type = get_string(*part, "type", where);
    if (byte_level) refuse(where, str(quote_text(type), " after ByteLevel"));
    if (type == "Split") {
      steps.push_back(read_split(*part, where));
    } else if (type == "Digits") {
      steps.push_back(read_digits(*part, where));
    } else if (type == "ByteLevel") {
      steps.push_back(read_byte_level(*part, where));
      byte_level = true;
    } else {
      refuse(where, str("the pre_tokenizer ", quote_text(type)));
    }
  }
  if (!byte_level) without_bytes();
  return steps;
}

using Pair = std::pair<std::string_view, std::string_view>;

// A merge is ["a", "b"] or, in older files, "a b"; none if the node is neither.
std::optional<Pair> read_merge(const json& node) {
  if (node.is_array() && node.size() == 2 && node[0].is_string() && node[1].is_string())
    return Pair(node[0].get_ref<const std::string&>(), node[1].get_ref<const std::string&>());
  if (!node.is_string()) return std::nullopt;
  const std::string_view text = node.get_ref<const std::string&>();
  const std::size_t space = text.find(' ');
  if (space == std::string_view::npos || text.find(' ', space + 1) != std::string_view::npos) return std::nullopt;
  return Pair(text.substr(0, space), text.substr(space + 1));
}

std::vector<BpeMerge> read_merges(const json& model, const StringMap<std::int32_t>& vocabulary,
                                  const std::string& where) {
  std::vector<BpeMerge> merges;
  const json& node = get_array(model, "merges", where);
  merges.reserve(node.size());
  for (const json& item : node) {
    const auto place = str(where, ".merges[", merges.size(), "]");
    const auto pair = read_merge(item);
    if (!pair) throw FormatError("expected a pair of strings or \"a b\"", place);
    merges.push_back(make_merge(vocabulary, pair->first, pair->second, place));
  }
  return merges;
}

bool has_all_bytes(const StringMap<std::int32_t>& vocabulary) {
  for (int byte = 0; byte < 256; ++byte) {
    const char raw = static_cast<char>(static_cast<unsigned char>(byte));
    if (!vocabulary.contains(spell_bytes({&raw, 1}))) return false;
  }
  return true;
}

// A name that the vocabulary lacks is of no account where every byte has a token: it is never looked up.
std::optional<std::int32_t> read_unknown(const json& model, const StringMap<std::int32_t>& vocabulary,
                                         const std::string& where) {
  const std::string& unknown = get_string(model, "unk_token", where);
  const auto found = vocabulary.find(unknown);
  if (found != vocabulary.end()) return found->second;
  if (has_all_bytes(vocabulary)) return std::nullopt;
  throw FormatError(
      str("unk_token ", quote_text(unknown), " is not in the vocabulary, nor has each of the 256 bytes a token"), where,
      "name a token of the vocabulary");
}

BpeModelData read_model(const json& root, const std::string& file) {
  const std::string where = file + ": model";
  const json& model = get_object(root, "model", file);
  const std::string type = get_string_or(model, "type", "BPE", where);
  if (type != "BPE") refuse(where, str("the model ", quote_text(type)));
  if (get_double_or(model, "dropout", 0, where) != 0) refuse(where, "dropout");
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!get_string_or(model, key, "", where).empty()) refuse(where, key);
  }
  if (get_bool_or(model, "byte_fallback", false, where)) refuse(where, "byte_fallback");
  BpeModelData data;
  data.vocabulary = read_vocabulary(get_object(model, "vocab", where), where + ".vocab");
  data.merges = read_merges(model, data.vocabulary, where);
  data.ignore_merges = get_bool_or(model, "ignore_merges", false, where);
  data.fuse_unknown = get_bool_or(model, "fuse_unk", false, where);
  if (has_value(model, "unk_token", where)) data.unknown = read_unknown(model, data.vocabulary, where);
  return data;
}

std::vector<std::pair<AddedToken, std::int64_t>> read_added_tokens(const json& root, const std::string& file) {
  std::vector<std::pair<AddedToken, std::int64_t>> tokens;
  if (!has_value(root, "added_tokens", file)) return tokens;
  AddedTokenBudget budget;
  for (const json& node : get_array(root, "added_tokens", file)) {
    const std::string where = str(file, ": added_tokens[", tokens.size(), "]");
    const AddedTokenText text = read_added_token(node, where);
    if (text.token.content.empty()) throw FormatError("an added token is empty", where);
    budget.take(text.token.content, where);
    tokens.emplace_back(text.complete(text.token.special), checked_id(get_int(node, "id", where), where));
  }
  return tokens;
}

void check_decoder(const json& root, const std::string& file) {
  const std::string where = file + ": decoder";
  if (!has_value(root, "decoder", file)) refuse(where, "a tokenizer without decoder");
  for (const json* part : sequence(get_object(root, "decoder", file), "decoders", where)) {
    const std::string& type = get_string(*part, "type", where);
    if (type != "ByteLevel") refuse(where, str("the decoder ", quote_text(type)));
  }
}

// What a post-processor does is move offsets, which are our own, and put tokens around a whole text, which a chat is
// tokenised without (add_special_tokens=False).
void check_post_processor(const json& root, const std::string& file) {
  if (!has_value(root, "post_processor", file)) return;
  const std::string where = file + ": post_processor";
  constexpr std::array<std::string_view, 4> known = {"ByteLevel", "TemplateProcessing", "RobertaProcessing",
                                                     "BertProcessing"};
  for (const json* part : sequence(get_object(root, "post_processor", file), "processors", where)) {
    const std::string& type = get_string(*part, "type", where);
    if (std::find(known.begin(), known.end(), type) == known.end())
      refuse(where, str("the post_processor ", quote_text(type)));
  }
}

// Saved padding and truncation are settings of the call that last used the tokenizer; a text is encoded as it is. The
// pad token is one of the tokenizer's special tokens.
std::string read_pad_token(const json& root, const std::string& file) {
  if (!has_value(root, "padding", file)) return {};
  return get_string_or(get_object(root, "padding", file), "pad_token", {}, file + ": padding");
}

}  // namespace

TokenizerFile read_tokenizer_file(const std::filesystem::path& path) {
  const std::string file = path.string();
  const json root = read_json_file(path);
  check_decoder(root, file);
  check_post_processor(root, file);
  TokenizerFile result;
  result.nfc = read_normalizer(root, file);
  result.pre_tokenizer = read_pre_tokenizer(root, file);
  result.byte_level_alone = get_string(root["pre_tokenizer"], "type", file) == "ByteLevel";
  result.model = read_model(root, file);
  result.added_tokens = read_added_tokens(root, file);
  result.pad_token = read_pad_token(root, file);
  return result;
}

}  // namespace shine
