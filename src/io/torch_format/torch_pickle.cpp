#include "io/torch_format/torch_pickle.h"

#include <bit>
#include <map>
#include <memory>
#include <set>
#include <span>

#include "io/json/quote_text.h"
#include "io/torch_format/legacy_file.h"
#include "io/torch_format/pickle_machine.h"
#include "io/torch_format/stored_zip.h"
#include "io/torch_format/torch_storage.h"
#include "shine/common/error.h"

namespace shine {
namespace {

static_assert(std::endian::native == std::endian::little, "only little-endian archives are read");

constexpr std::size_t kMaxPickleBytes = std::size_t{16} << 20;
constexpr std::size_t kMaxNameBytes = std::size_t{64} << 20;
constexpr std::string_view kPickleName = "data.pkl";

/// The archive's one folder, with its slash: the part of "<folder>/data.pkl" before the name.
std::string find_prefix(const StoredZip& archive, const std::string& where) {
  std::vector<std::string> prefixes;
  for (const auto& [name, entry] : archive.entries()) {
    const std::size_t slash = name.find('/');
    if (slash != std::string::npos && name.substr(slash + 1) == kPickleName)
      prefixes.push_back(name.substr(0, slash + 1));
  }
  SHINE_CHECK(prefixes.size() == 1, FormatError, where, ": ", prefixes.size(), " entries named <folder>/", kPickleName,
              ", expected 1: not written by torch.save");
  return prefixes.front();
}

void require_little_endian(StoredZip& archive, const std::string& prefix, const std::string& where) {
  const std::string name = prefix + "byteorder";
  if (!archive.contains(name)) return;  // before PyTorch 2.1: always the machine's order
  const std::span<const std::byte> bytes = archive.read(name);
  const std::string_view order(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  SHINE_CHECK(order == "little", FormatError, where, ": byte order is not \"little\"");
}

class Flattener {
 public:
  explicit Flattener(const std::string& where) : where_(where) {}

  void add(const PickleValue& value, const std::string& name) {
    if (value.is_none()) return;
    if (const auto* tensor = std::get_if<RawTensor>(&value.value)) {
      if (!names_.insert(name).second) throw FormatError(str("two tensors are named ", quote_text(name)), where_);
      tensors_.emplace_back(name, *tensor);
    } else if (const auto* dict = std::get_if<PickleDict>(&value.value)) {
      for (const PickleEntry& entry : *dict) {
        add(entry.value, below(name, std::visit([](const auto& key) { return str(key); }, entry.key)));
      }
    } else if (const auto* list = std::get_if<PickleList>(&value.value)) {
      for (std::size_t i = 0; i < list->size(); ++i) add((*list)[i], below(name, str(i)));
    } else {
      throw FormatError(str(quote_text(name), ": expected a tensor, found a number or a string"), where_);
    }
  }

  NamedRawTensors take() { return std::move(tensors_); }

 private:
  /// One long key above many short ones expands to more text than the file holds.
  std::string below(const std::string& name, const std::string& key) {
    const std::size_t bytes = name.size() + 1 + key.size();
    if (bytes > name_budget_) {
      throw FormatError(str("the tensors' names expand to more than ", kMaxNameBytes, " bytes; refused"), where_);
    }
    name_budget_ -= bytes;
    return name.empty() ? key : str(name, ".", key);
  }

  const std::string& where_;
  std::size_t name_budget_ = kMaxNameBytes;
  std::set<std::string> names_;
  NamedRawTensors tensors_;
};

}  // namespace

PickleValue read_torch_file(const std::filesystem::path& path) {
  return read_torch_file(std::make_shared<const MappedFile>(path));
}

PickleValue read_torch_file(std::shared_ptr<const MappedFile> file) {
  if (is_legacy_torch_file(file->bytes())) return read_legacy_torch_file(std::move(file));
  const std::string where = file->path().string();
  const auto archive = std::make_shared<StoredZip>(std::move(file));
  const std::string prefix = find_prefix(*archive, where);
  require_little_endian(*archive, prefix, where);
  const std::string entry = prefix + std::string(kPickleName);
  const std::size_t pickle_bytes = archive->entries().at(entry).bytes.size();
  SHINE_CHECK(pickle_bytes <= kMaxPickleBytes, FormatError, where, ": ", kPickleName, " of ", pickle_bytes,
              " bytes, expected at most ", kMaxPickleBytes);
  const std::span<const std::byte> pickle = archive->read(entry);
  ZipStorages storages(archive, prefix);
  return run_pickle(pickle, storages, str(where, ": ", kPickleName));
}

NamedRawTensors flatten_tensors(const PickleValue& value, const std::string& where) {
  Flattener flattener(where);
  flattener.add(value, "");
  return flattener.take();
}

}  // namespace shine
