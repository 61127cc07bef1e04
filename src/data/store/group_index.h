#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <type_traits>
#include <vector>

#include "data/pretrain/pretrain_form.h"
#include "data/store/token_store.h"
#include "io/files/mapped_file.h"

namespace shine {

/// The last bytes of a `.groups` file. Before them: a record {first member, tokens} (uint32 each) of each group and one
/// that ends the last; in the `.members` file beside it: the documents (uint32) of all groups, group by group.
struct GroupFooter {
  std::array<char, 8> magic{};
  std::uint32_t version = 0;
  std::uint32_t reserved = 0;
  std::uint64_t key = 0;        ///< GroupIndex::key
  std::uint64_t documents = 0;  ///< of the store
  std::uint64_t members = 0, groups = 0;
  std::uint64_t dropped = 0;  ///< documents held out, or equal to one that is
  std::uint64_t tokens = 0;   ///< this and the following as in PretrainReport
  std::uint64_t over_long = 0, tokens_cut = 0;
  std::uint64_t contexts_over_long = 0, context_tokens_cut = 0;
  double fill = 0;
  std::uint64_t checksum = 0;  ///< of the bytes before it
};
static_assert(sizeof(GroupFooter) == 112 && std::is_trivially_copyable_v<GroupFooter>);

/// The groups of a store's documents, as TextPacker makes them, in mapped files: opening them reads a page or two.
class GroupIndex {
 public:
  /// @param members, groups  the two files
  /// Throws FormatError where they are damaged, do not belong together or are of another key.
  GroupIndex(std::unique_ptr<const MappedFile> members, std::unique_ptr<const MappedFile> groups, std::uint64_t key);

  std::size_t size() const { return static_cast<std::size_t>(footer_.groups); }

  /// Documents of a group, in the order in which they were packed, and tokens of its sample.
  /// @param group  below size()
  /// Throws FormatError where the files are damaged there.
  std::vector<std::size_t> documents(std::size_t group) const;
  std::int64_t tokens(std::size_t group) const;

  PretrainReport report() const;
  std::size_t dropped() const { return static_cast<std::size_t>(footer_.dropped); }

 private:
  struct Record {
    std::uint32_t first = 0, tokens = 0;
  };
  Record record(std::size_t group) const;
  [[noreturn]] void fail(std::string_view what) const;

  std::unique_ptr<const MappedFile> members_, groups_;
  GroupFooter footer_;
};

/// What the groups of a store depend on.
/// @param held_out  text_hash of texts that are not trained on
std::uint64_t group_key(const TokenStore& store, const PretrainForm& form, const std::vector<std::uint64_t>& held_out);

/// The groups of a store: those that were made for the same key, or, the first time, made now in one pass over the
/// lengths of its documents and kept in its folder. Other processes that want them meanwhile wait. Throws ConfigError
/// where no document is left to train on, IoError where the folder cannot be written, and as GroupIndex.
GroupIndex open_groups(const TokenStore& store, const PretrainForm& form, const std::vector<std::uint64_t>& held_out);

}  // namespace shine
