#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shine/text/tokenizer.h"

namespace shine {

inline constexpr const char* kStoreIndexName = "token_store.json";

/// texts: documents to pretrain on; questions: contexts with questions and answers, see store/item_ids.h.
enum class StoreContents { texts, questions };

/// Ids that a store of questions has above those of the tokenizer.
inline constexpr std::int64_t kItemMarks = 3;

/// What decides what a store of given files holds.
struct StoreOptions {
  StoreContents contents = StoreContents::texts;
  SpecialTokens special_tokens = SpecialTokens::parse;
  std::string separator = {};  ///< as in DocumentOptions
  std::string field = "text";
  std::int64_t split = 0;  ///< most tokens of a document; longer ones become several. 0: documents stay whole
  bool unique = false;     ///< a text that came before is dropped
  std::uint64_t shard_bytes = std::uint64_t{128} << 20;  ///< a shard ends with the document that reaches it

  bool operator==(const StoreOptions&) const = default;
};

/// Of the documents so far.
struct StoreStatistics {
  std::uint64_t read = 0;       ///< documents of the input, those dropped among them
  std::uint64_t documents = 0;  ///< in the store
  std::uint64_t tokens = 0;
  std::uint64_t longest = 0;    ///< tokens of the longest document
  std::uint64_t empty = 0;      ///< dropped: blank, or without a token
  std::uint64_t duplicate = 0;  ///< dropped: the same text came before
  std::uint64_t repaired = 0;   ///< held bytes that are no UTF-8
  std::uint64_t split_off = 0;  ///< pieces beyond the first of each document
  /// Texts that their ids do not give back exactly (the tokenizer normalises them).
  std::uint64_t changed = 0;
  /// lengths[b]: documents of 2^(b-1) .. 2^b - 1 tokens.
  std::array<std::uint64_t, 41> lengths{};

  void count_length(std::uint64_t tokens);
  bool operator==(const StoreStatistics&) const = default;
};

/// A place in the input: the next document is number `document` of file `file`, both from 0.
struct InputPlace {
  std::uint64_t file = 0, document = 0;
  bool operator==(const InputPlace&) const = default;
  auto operator<=>(const InputPlace&) const = default;
};

/// The file kStoreIndexName of a store. While a store is written it tells what is done.
struct StoreIndex {
  struct Input {
    std::string name;  ///< without folders
    std::uint64_t bytes = 0;
    bool operator==(const Input&) const = default;
  };
  struct Shard {
    std::uint64_t documents = 0, tokens = 0;
    std::uint64_t content = 0;  ///< as in ShardHeader
    bool operator==(const Shard&) const = default;
  };
  std::uint64_t tokenizer = 0;  ///< tokenizer_fingerprint
  std::int64_t vocabulary = 0;  ///< above every id
  StoreOptions options;
  std::vector<Input> inputs;
  std::optional<InputPlace> next;  ///< where the writer goes on; none: the store is complete
  StoreStatistics statistics;
  std::vector<Shard> shards;

  bool operator==(const StoreIndex&) const = default;

  /// Above every id of the tokenizer.
  std::int64_t text_vocabulary() const {
    return vocabulary - (options.contents == StoreContents::questions ? kItemMarks : 0);
  }

  /// Of everything that the samples of a store are made of: not of file names.
  std::uint64_t fingerprint() const;
};

/// True for a folder that holds a store, complete or not.
bool is_token_store(const std::filesystem::path& folder);

/// The JSON text of an index, and back.
/// @param where  start of error messages
/// Throws FormatError where a member is missing, of another type or outside its range, or the counts of shards and
/// statistics contradict each other.
std::string store_index_json(const StoreIndex& index);
StoreIndex parse_store_index(std::string_view json, const std::string& where);

/// Throws IoError, and as parse_store_index.
StoreIndex read_store_index(const std::filesystem::path& folder);
void write_store_index(const std::filesystem::path& folder, const StoreIndex& index);

}  // namespace shine
