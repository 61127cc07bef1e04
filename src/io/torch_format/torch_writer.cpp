#include "io/torch_format/torch_writer.h"

#include <algorithm>
#include <iomanip>
#include <sstream>
#include <string>
#include <vector>

#include "common/hash.h"
#include "io/files/pieces.h"
#include "io/files/posix_file.h"
#include "io/torch_format/crc32.h"
#include "io/torch_format/pickle_writer.h"
#include "io/torch_format/zip_writer.h"
#include "shine/common/str.h"

namespace shine {
namespace {

/// The archive's folder, as torch.save names it: the file's name without its extension, unless it is not ASCII.
std::string archive_name(const std::filesystem::path& path) {
  const std::string stem = path.stem().string();
  const bool ascii = std::all_of(stem.begin(), stem.end(), [](unsigned char c) { return c < 128; });
  return ascii ? stem : "archive";
}

/// 40 digits: 20 from the entries' names, 20 from their checksums.
std::string serialization_id(const ZipWriter& zip) {
  Fnv1a names, contents;
  for (const ZipWriter::Entry& entry : zip.entries()) {
    names.add(std::uint64_t{entry.name.size()}).add_bytes(entry.name);
    contents.add(entry.size).add(std::uint64_t{entry.crc});
  }
  std::ostringstream id;
  id << std::setfill('0') << std::setw(20) << names.value() << std::setw(20) << contents.value();
  return id.str();
}

}  // namespace

void write_torch_file(const std::filesystem::path& path, const PickleValue& value) {
  const PickledValue pickled = pickle_value(value, path.string());
  const std::string folder = archive_name(path) + "/";
  PendingFile file(path);
  ZipWriter zip(file);
  zip.add(folder + "data.pkl", pickled.pickle);
  zip.add(folder + ".format_version", "1");
  zip.add(folder + ".storage_alignment", "64");
  zip.add(folder + "byteorder", "little");
  for (std::size_t i = 0; i < pickled.storages.size(); ++i) {
    const RawTensor& tensor = pickled.storages[i];
    zip.add(str(folder, "data/", i), tensor.bytes, [&](const ZipWriter::Sink& sink) { for_each_piece(tensor, sink); });
  }
  zip.add(folder + "version", "3\n");
  zip.add(folder + ".data/serialization_id", serialization_id(zip));
  zip.finish();
  file.commit();
}

}  // namespace shine
