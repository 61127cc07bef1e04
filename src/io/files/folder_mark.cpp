#include "io/files/folder_mark.h"

#include <nlohmann/json.hpp>
#include <span>
#include <vector>

#include "common/format.h"
#include "io/files/atomic_folder.h"
#include "io/files/checksum.h"
#include "io/files/posix_file.h"
#include "io/json/json_file.h"
#include "io/json/quote_text.h"
#include "shine/common/error.h"

namespace shine {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kReadBytes = std::size_t{1} << 20;
constexpr const char* kAlgorithm = "xxh3_64";

struct FileSum {
  std::size_t bytes = 0;
  std::string checksum;  ///< 16 hexadecimal digits
};

FileSum sum_of(const fs::path& path) {
  const FileDescriptor file = open_for_reading(path);
  std::vector<char> buffer(kReadBytes);
  FileSum sum;
  Checksum checksum;
  while (const std::size_t got = read_some(file, buffer.data(), buffer.size(), path)) {
    checksum.add(std::as_bytes(std::span(buffer).first(got)));
    sum.bytes += got;
  }
  sum.checksum = hex_digits(checksum.value());
  return sum;
}

nlohmann::json read_mark(const fs::path& folder) {
  if (!fs::is_directory(folder)) throw IoError("no such folder", folder.string());
  if (!is_complete(folder)) {
    throw FormatError("the folder is incomplete, it has no mark DONE", folder.string(), "use an earlier one");
  }
  const std::string where = (folder / kFolderMarkName).string();
  nlohmann::json mark = read_json_file(where);
  const std::string& algorithm = get_string(mark, "checksum", where);
  SHINE_CHECK(algorithm == kAlgorithm, FormatError, where, ": checksum ", quote_text(algorithm), ", expected ",
              kAlgorithm);
  get_object(mark, "files", where);
  return mark;
}

void compare(const fs::path& folder, const std::string& name, const nlohmann::json& expected) {
  const std::string where = (folder / kFolderMarkName).string() + ": files: " + quote_text(name);
  const std::int64_t bytes = get_int(expected, "bytes", where);
  const std::string& checksum = get_string(expected, "checksum", where);
  // Names that lead out of the folder are refused.
  const fs::path relative(name);
  SHINE_CHECK(
      !name.empty() && relative.is_relative() && relative.lexically_normal() == relative && *relative.begin() != "..",
      FormatError, where, ": not a file of this folder");
  const auto damaged = [&](const std::string& what) {
    return FormatError("damaged, " + what, (folder / name).string(),
                       "restore it or use an earlier checkpoint; its run, started again, makes it anew");
  };
  if (!fs::exists(folder / name)) throw damaged("the file is missing");
  const FileSum found = sum_of(folder / name);
  if (bytes < 0 || found.bytes != static_cast<std::size_t>(bytes)) {
    throw damaged(str("it has ", found.bytes, " bytes and was written with ", bytes));
  }
  if (found.checksum != checksum) throw damaged("its checksum differs from the one it was written with");
}

}  // namespace

std::string folder_mark_text(const fs::path& folder) {
  nlohmann::json files = nlohmann::json::object();  // sorted by name
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    const FileSum sum = sum_of(entry.path());
    files[entry.path().lexically_relative(folder).string()] = {{"bytes", sum.bytes}, {"checksum", sum.checksum}};
  }
  return nlohmann::ordered_json{{"checksum", kAlgorithm}, {"files", files}}.dump(2) + "\n";
}

void verify_file(const fs::path& folder, const std::string& name) {
  const nlohmann::json mark = read_mark(folder);
  const std::string where = (folder / kFolderMarkName).string() + ": files";
  compare(folder, name, get_object(mark["files"], name, where));
}

void verify_folder(const fs::path& folder) {
  const nlohmann::json mark = read_mark(folder);
  for (const auto& [name, expected] : mark["files"].items()) compare(folder, name, expected);
}

}  // namespace shine
