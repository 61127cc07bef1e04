#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

namespace shine::test {

/// Where the tests were built, or where $SHINE_SOURCE_DIR and $SHINE_BIN_DIR say that they have been moved to.
inline std::filesystem::path source_dir() {
  if (const char* moved = std::getenv("SHINE_SOURCE_DIR")) return moved;
  return SHINE_SOURCE_DIR;
}
inline std::filesystem::path golden_dir() {
  return source_dir() / "tests" / "golden";
}
inline std::filesystem::path bin_dir() {
  if (const char* moved = std::getenv("SHINE_BIN_DIR")) return moved;
  return SHINE_BIN_DIR;
}

/// Material that is not part of the repository: $SHINE_SHARED, else ../shared beside the checkout.
/// Tests that need a file below it skip when the file is absent.
inline std::filesystem::path shared_dir() {
  if (const char* set = std::getenv("SHINE_SHARED")) return set;
  return source_dir().parent_path() / "shared";
}

inline std::string read_bytes(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Makes the file's folder too.
inline void write_bytes(const std::filesystem::path& file, std::string_view bytes) {
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << bytes;
}

/// A folder of its own for one test, removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "shine-test-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

  /// @return  the path of the file
  std::filesystem::path write(const std::string& name, std::string_view bytes) const {
    write_bytes(path_ / name, bytes);
    return path_ / name;
  }

  /// A message without this folder's name before that of its files.
  std::string shorten(std::string message) const {
    const std::string prefix = path_.string() + "/";
    for (std::size_t at = 0; (at = message.find(prefix)) != std::string::npos;) message.erase(at, prefix.size());
    return message;
  }

 private:
  std::filesystem::path path_;
};

}  // namespace shine::test
