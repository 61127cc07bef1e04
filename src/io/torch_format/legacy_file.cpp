#include "io/torch_format/legacy_file.h"

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "io/files/byte_reader.h"
#include "io/torch_format/pickle_machine.h"
#include "io/torch_format/pickle_opcodes.h"
#include "io/torch_format/torch_storage.h"
#include "shine/common/error.h"

namespace shine {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kMark =
    "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."sv;  // an integer of 10 bytes, the end
constexpr std::int64_t kVersion = 1001;
constexpr std::size_t kMaxPickleBytes = std::size_t{16} << 20;

/// Where the mark ends; 0 without one.
std::size_t mark_end(std::string_view file) {
  std::size_t at = 2;  // the opcode of the protocol and its number
  if (file.size() < at || static_cast<unsigned char>(file[0]) != pickle::proto) return 0;
  if (file.size() > at && static_cast<unsigned char>(file[at]) == pickle::frame) at += 9;
  return file.size() >= at && file.substr(at).starts_with(kMark) ? at + kMark.size() : 0;
}

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// The storages that a value names, while their bytes are not found yet.
class NamedStorages : public TorchStorages {
 public:
  using TorchStorages::TorchStorages;

  TorchStorage find(const std::string& key, DType dtype, std::int64_t numel) override {
    const auto [known, is_new] = storages_.try_emplace(key, TorchStorage{key, dtype, numel, {}});
    const bool same = known->second.dtype == dtype && known->second.numel == numel;
    SHINE_CHECK(is_new || same, FormatError, place_of(key), ": has two types or sizes");
    return known->second;
  }

  RawTensor view(const TorchStorage&, std::int64_t, const std::vector<std::int64_t>&,
                 const std::vector<std::int64_t>&) override {
    return {};
  }

  std::map<std::string, TorchStorage> take() { return std::move(storages_); }

 private:
  std::map<std::string, TorchStorage> storages_;
};

class LegacyStorages : public TorchStorages {
 public:
  /// @param reader  at the first storage; `keys` in the file's order
  LegacyStorages(std::shared_ptr<const MappedFile> file, std::map<std::string, TorchStorage> named,
                 const PickleList& keys, ByteReader reader)
      : TorchStorages(std::move(file)), storages_(std::move(named)) {
    for (const PickleValue& key : keys) {
      const auto* name = std::get_if<std::string>(&key.value);
      const auto found = name != nullptr ? storages_.find(*name) : storages_.end();
      if (found == storages_.end()) reader.fail("a storage that no tensor has");
      TorchStorage& storage = found->second;
      const auto numel = reader.read<std::int64_t>();
      const std::optional<std::size_t> bytes = bytes_of(storage.dtype, {storage.numel});
      SHINE_CHECK(numel == storage.numel && bytes, FormatError, place_of(storage.key), ": holds ", numel,
                  " elements, expected ", storage.numel);
      storage.bytes = reader.take(*bytes);
    }
    if (reader.left() != 0) reader.fail("bytes after the last storage");
  }

  TorchStorage find(const std::string& key, DType, std::int64_t) override {
    const TorchStorage& storage = storages_.at(key);
    const bool is_there = storage.numel == 0 || storage.bytes.data() != nullptr;
    SHINE_CHECK(is_there, FormatError, place_of(key), ": not in the file");
    return storage;
  }

 private:
  std::map<std::string, TorchStorage> storages_;
};

void check_version(const PickleValue& value, const std::string& where) {
  const auto* version = std::get_if<std::int64_t>(&value.value);
  SHINE_CHECK(version != nullptr && *version == kVersion, FormatError, where, ": not version ", kVersion,
              " of torch.save's old form");
}

void check_byte_order(const PickleValue& value, const std::string& where) {
  const auto* machine = std::get_if<PickleDict>(&value.value);
  const bool is_little = machine != nullptr && std::ranges::any_of(*machine, [](const PickleEntry& entry) {
                           const auto* key = std::get_if<std::string>(&entry.key);
                           const auto* little = std::get_if<bool>(&entry.value.value);
                           return key != nullptr && *key == "little_endian" && little != nullptr && *little;
                         });
  SHINE_CHECK(is_little, FormatError, where, ": byte order is not \"little\"");
}

}  // namespace

bool is_legacy_torch_file(std::span<const std::byte> bytes) {
  return mark_end(as_text(bytes)) > 0;
}

PickleValue read_legacy_torch_file(std::shared_ptr<const MappedFile> file) {
  const std::string where = file->path().string();
  NamedStorages named(file);
  std::span<const std::byte> rest = file->bytes().subspan(mark_end(as_text(file->bytes())));
  const auto run_next = [&] {
    std::span<const std::byte> pickle = rest.first(std::min(rest.size(), kMaxPickleBytes));
    const std::size_t given = pickle.size();
    PickleValue value = run_first_pickle(pickle, named, where);
    rest = rest.subspan(given - pickle.size());
    return value;
  };
  check_version(run_next(), where);
  check_byte_order(run_next(), where);
  const std::span<const std::byte> begin = rest;
  run_next();
  const std::span<const std::byte> value = begin.first(begin.size() - rest.size());
  const PickleValue keys = run_next();
  const auto* list = std::get_if<PickleList>(&keys.value);
  SHINE_CHECK(list != nullptr, FormatError, where, ": no list of storages");
  LegacyStorages storages(file, named.take(), *list, ByteReader(rest, where + ": storages"));
  return run_pickle(value, storages, where);
}

}  // namespace shine
