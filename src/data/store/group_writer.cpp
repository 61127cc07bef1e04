#include "data/store/group_writer.h"

#include <algorithm>
#include <limits>
#include <span>
#include <unordered_set>
#include <utility>

#include "common/format.h"
#include "common/hash.h"
#include "common/timer.h"
#include "data/store/format_hash.h"
#include "data/store/number_file.h"
#include "data/store/shard_format.h"
#include "io/files/folder_lock.h"
#include "shine/common/error.h"
#include "shine/common/logging.h"

namespace shine {
namespace {

class GroupWriter {
 public:
  GroupWriter(const TokenStore& store, const PretrainForm& form, std::uint64_t key)
      : store_(store),
        form_(form),
        key_(key),
        members_(group_path(store, key, ".members")),
        groups_(group_path(store, key, ".groups")) {}

  void write(const std::unordered_set<std::uint64_t>& held_out) {
    TextPacker packer(form_.max_cost(), form_.options().open_groups,
                      [this](std::span<const std::size_t> group) { take(group); });
    for (std::size_t document = 0; document < store_.documents(); ++document) {
      if (held_out.contains(store_.hash(document))) continue;
      packer.add(document, form_.cost(static_cast<std::int64_t>(store_.length(document))));
    }
    static_cast<PackingReport&>(report_) = packer.finish();
    SHINE_CHECK(report_.texts > 0, ConfigError, store_.folder().string(), ": no document to train on, of ",
                store_.documents(), " (name another store, or other validation texts)");
    finish();
  }

 private:
  void take(std::span<const std::size_t> group) {
    groups_.add(first_);
    std::int64_t tokens = 0;
    for (const std::size_t document : group) {
      members_.add(document);
      tokens += static_cast<std::int64_t>(store_.length(document));
    }
    first_ += group.size();
    report_.tokens += tokens;
    groups_.add(static_cast<std::uint64_t>(form_.count_group(tokens, group.size(), report_)));
  }

  void finish() {
    groups_.add(first_);
    groups_.add(0);
    members_.flush();
    members_.file().commit();
    groups_.flush();
    GroupFooter footer{.magic = kGroupMagic, .version = kGroupVersion, .key = key_, .documents = store_.documents()};
    footer.members = report_.texts;
    footer.groups = report_.groups;
    footer.dropped = store_.documents() - report_.texts;
    footer.tokens = static_cast<std::uint64_t>(report_.tokens);
    footer.over_long = report_.over_long;
    footer.tokens_cut = static_cast<std::uint64_t>(report_.tokens_cut);
    footer.contexts_over_long = report_.contexts_over_long;
    footer.context_tokens_cut = static_cast<std::uint64_t>(report_.context_tokens_cut);
    footer.fill = report_.fill;
    footer.checksum = header_checksum(footer);
    groups_.file().write(&footer, sizeof footer);
    groups_.file().commit();
  }

  const TokenStore& store_;
  const PretrainForm& form_;
  std::uint64_t key_;
  NumberFile members_, groups_;
  std::uint64_t first_ = 0;
  PretrainReport report_;
};

}  // namespace

std::filesystem::path group_path(const TokenStore& store, std::uint64_t key, const char* extension) {
  return store.folder() / ("groups-" + hex_digits(key) + extension);
}

void write_groups(const TokenStore& store, const PretrainForm& form, const std::vector<std::uint64_t>& held_out,
                  std::uint64_t key) {
  SHINE_CHECK(store.documents() < kMaxGroupedDocuments, UnsupportedError, store.folder().string(), ": ",
              store.documents(), " documents, groups are made of fewer than ", kMaxGroupedDocuments,
              " (make several stores)");
  GroupWriter(store, form, key).write({held_out.begin(), held_out.end()});
}

std::uint64_t group_key(const TokenStore& store, const PretrainForm& form, const std::vector<std::uint64_t>& held_out) {
  Fnv1a hash;
  hash.add(store.index().fingerprint()).add(std::uint64_t{kGroupVersion});
  hash.add(form.max_cost()).add(form.cost(0)).add(std::uint64_t{form.options().open_groups});
  hash.add(form.options().context_max_length).add(form.options().conversation_max_length);
  hash.add(hash_format(form.options().chat_format));
  std::vector<std::uint64_t> sorted = held_out;
  std::ranges::sort(sorted);
  for (const std::uint64_t text : sorted) hash.add(text);
  return hash.value();
}

GroupIndex open_groups(const TokenStore& store, const PretrainForm& form, const std::vector<std::uint64_t>& held_out) {
  const std::uint64_t key = group_key(store, form, held_out);
  const std::filesystem::path members = group_path(store, key, ".members"), groups = group_path(store, key, ".groups");
  if (!std::filesystem::exists(groups)) {
    const FolderLock lock(store.folder(), FolderLock::Held::wait);
    if (!std::filesystem::exists(groups)) {
      const Timer timer;
      write_groups(store, form, held_out, key);
      log_info(str(store.folder().string(), ": made groups of ", store.documents(), " documents in ",
                   format("%.1f s", timer.seconds()), ", which are kept there"));
    }
  }
  return GroupIndex(std::make_unique<const MappedFile>(members), std::make_unique<const MappedFile>(groups), key);
}

}  // namespace shine
