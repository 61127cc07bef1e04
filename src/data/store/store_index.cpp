#include "data/store/store_index.h"

#include <bit>
#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/format.h"
#include "common/hash.h"
#include "data/store/shard_format.h"
#include "io/files/text_file.h"
#include "io/json/json_file.h"
#include "io/json/quote_text.h"
#include "shine/common/error.h"

namespace shine {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr const char* kFormat = "shine token store";
constexpr std::int64_t kVersion = 1;
constexpr std::size_t kMaxShards = 1'000'000;
constexpr std::uint64_t kMaxCount = std::uint64_t{1} << 62;

std::uint64_t get_count(const json& object, const std::string& key, const std::string& where,
                        std::uint64_t largest = kMaxCount) {
  const std::int64_t value = get_int(object, key, where);
  if (value < 0 || static_cast<std::uint64_t>(value) > largest) {
    throw FormatError(str("`", key, "` is ", value, ", expected 0 .. ", largest), where);
  }
  return static_cast<std::uint64_t>(value);
}

std::uint64_t get_hash(const json& object, const std::string& key, const std::string& where) {
  const std::string& digits = get_string(object, key, where);
  std::uint64_t value = 0;
  const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  if (digits.size() != 16 || fault != std::errc() || end != digits.data() + digits.size()) {
    throw FormatError(str("`", key, "` is ", quote_text(digits), ", expected 16 hexadecimal digits"), where);
  }
  return value;
}

/// The counts by their names in the file.
template <class Statistics>
auto named_counts(Statistics& s) {
  return std::array{
      std::pair{"read", &s.read},         std::pair{"documents", &s.documents}, std::pair{"tokens", &s.tokens},
      std::pair{"longest", &s.longest},   std::pair{"empty", &s.empty},         std::pair{"duplicate", &s.duplicate},
      std::pair{"repaired", &s.repaired}, std::pair{"split_off", &s.split_off}, std::pair{"changed", &s.changed}};
}

ordered_json to_json(const StoreStatistics& statistics) {
  ordered_json object;
  for (const auto& [name, count] : named_counts(statistics)) object[name] = *count;
  object["lengths"] = statistics.lengths;
  return object;
}

StoreStatistics read_statistics(const json& object, const std::string& where) {
  StoreStatistics statistics;
  for (const auto& [name, count] : named_counts(statistics)) *count = get_count(object, name, where);
  const json& lengths = get_array(object, "lengths", where);
  SHINE_CHECK(lengths.size() == statistics.lengths.size(), FormatError, where, ": `lengths` has ", lengths.size(),
              " counts, expected ", statistics.lengths.size());
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    SHINE_CHECK(lengths[i].is_number_unsigned(), FormatError, where, ": `lengths`: a count is no whole number");
    statistics.lengths[i] = lengths[i].get<std::uint64_t>();
  }
  return statistics;
}

ordered_json to_json(const StoreOptions& options) {
  return {{"contents", options.contents == StoreContents::texts ? "texts" : "questions"},
          {"special_tokens", options.special_tokens == SpecialTokens::parse ? "parse" : "escape"},
          {"separator", options.separator},
          {"field", options.field},
          {"split", options.split},
          {"unique", options.unique},
          {"shard_bytes", options.shard_bytes}};
}

StoreOptions read_options(const json& object, const std::string& where) {
  StoreOptions options;
  const std::string& contents = get_string(object, "contents", where);
  SHINE_CHECK(contents == "texts" || contents == "questions", FormatError, where, ": `contents` is ",
              quote_text(contents), ", expected texts or questions");
  options.contents = contents == "texts" ? StoreContents::texts : StoreContents::questions;
  const std::string& special = get_string(object, "special_tokens", where);
  SHINE_CHECK(special == "parse" || special == "escape", FormatError, where, ": `special_tokens` is ",
              quote_text(special), ", expected parse or escape");
  options.special_tokens = special == "parse" ? SpecialTokens::parse : SpecialTokens::escape;
  options.separator = get_string(object, "separator", where);
  options.field = get_string(object, "field", where);
  options.split = static_cast<std::int64_t>(get_count(object, "split", where));
  options.unique = get_bool(object, "unique", where);
  options.shard_bytes = get_count(object, "shard_bytes", where);
  return options;
}

void read_lists(const json& object, const std::string& where, StoreIndex& index) {
  for (const json& input : get_array(object, "inputs", where)) {
    index.inputs.push_back(
        {get_string(input, "name", where + ": inputs"), get_count(input, "bytes", where + ": inputs")});
  }
  const json& shards = get_array(object, "shards", where);
  SHINE_CHECK(shards.size() <= kMaxShards, FormatError, where, ": more than ", kMaxShards, " shards");
  const std::string at = where + ": shards";
  for (const json& shard : shards) {
    index.shards.push_back({get_count(shard, "documents", at, kMaxShardDocuments - 1),
                            get_count(shard, "tokens", at, kMaxShardTokens - 1), get_hash(shard, "checksum", at)});
  }
}

/// A shard list that does not hold what the statistics count.
void check_sums(const StoreIndex& index, const std::string& where) {
  std::uint64_t documents = 0, tokens = 0, measured = 0;
  for (const StoreIndex::Shard& shard : index.shards) {
    documents += shard.documents;
    tokens += shard.tokens;
  }
  for (const std::uint64_t count : index.statistics.lengths) {
    SHINE_CHECK(count <= index.statistics.documents, FormatError, where, ": `lengths` counts too many documents");
    measured += count;
  }
  SHINE_CHECK(documents == index.statistics.documents && tokens == index.statistics.tokens && measured == documents,
              FormatError, where, ": the statistics count ", index.statistics.documents, " documents and ",
              index.statistics.tokens, " tokens, the shards ", documents, " and ", tokens,
              " (the index is damaged; write the store again)");
}

}  // namespace

void StoreStatistics::count_length(std::uint64_t count) {
  ++lengths.at(static_cast<std::size_t>(std::bit_width(count)));
  longest = std::max(longest, count);
}

std::uint64_t StoreIndex::fingerprint() const {
  Fnv1a hash;
  hash.add(tokenizer)
      .add(static_cast<std::uint64_t>(options.special_tokens))
      .add(static_cast<std::uint64_t>(options.contents))
      .add(std::uint64_t{shards.size()});
  for (const Shard& shard : shards) hash.add(shard.documents).add(shard.tokens).add(shard.content);
  return hash.value();
}

bool is_token_store(const std::filesystem::path& folder) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(folder / kStoreIndexName, ignored);
}

std::string store_index_json(const StoreIndex& index) {
  ordered_json object{{"format", kFormat}, {"version", kVersion}, {"complete", !index.next.has_value()}};
  object["tokenizer"] = {{"fingerprint", hex_digits(index.tokenizer)}, {"vocabulary", index.vocabulary}};
  object["options"] = to_json(index.options);
  object["inputs"] = ordered_json::array();
  for (const auto& input : index.inputs) object["inputs"].push_back({{"name", input.name}, {"bytes", input.bytes}});
  if (index.next) object["next"] = {{"file", index.next->file}, {"document", index.next->document}};
  object["statistics"] = to_json(index.statistics);
  object["shards"] = ordered_json::array();
  for (const auto& shard : index.shards) {
    object["shards"].push_back(
        {{"documents", shard.documents}, {"tokens", shard.tokens}, {"checksum", hex_digits(shard.content)}});
  }
  return object.dump(1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

StoreIndex parse_store_index(std::string_view text, const std::string& where) {
  const json object = parse_json(text, where);
  const std::string& format = get_string(object, "format", where);
  SHINE_CHECK(format == kFormat, FormatError, where, ": format ", quote_text(format), ", expected ",
              quote_text(kFormat));
  const std::int64_t version = get_int(object, "version", where);
  SHINE_CHECK(version == kVersion, FormatError, where, ": version ", version, " of the format, this program knows ",
              kVersion, " (write the store again: shine_prepare text)");
  StoreIndex index;
  const json& tokenizer = get_object(object, "tokenizer", where);
  index.tokenizer = get_hash(tokenizer, "fingerprint", where + ": tokenizer");
  index.vocabulary = static_cast<std::int64_t>(
      get_count(tokenizer, "vocabulary", where + ": tokenizer", static_cast<std::uint64_t>(kMaxVocabulary)));
  index.options = read_options(get_object(object, "options", where), where + ": options");
  index.statistics = read_statistics(get_object(object, "statistics", where), where + ": statistics");
  read_lists(object, where, index);
  if (!get_bool(object, "complete", where)) {
    const json& next = get_object(object, "next", where);
    index.next = InputPlace{get_count(next, "file", where + ": next"), get_count(next, "document", where + ": next")};
  }
  check_sums(index, where);
  return index;
}

StoreIndex read_store_index(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / kStoreIndexName;
  return parse_store_index(read_text_file(file, kMaxJsonBytes), file.string());
}

void write_store_index(const std::filesystem::path& folder, const StoreIndex& index) {
  write_file_atomically(folder / kStoreIndexName, store_index_json(index));
}

}  // namespace shine
