#include "io/files/byte_source.h"

#include "io/files/posix_file.h"

namespace shine {
namespace {

class PlainFile : public ByteSource {
 public:
  explicit PlainFile(const std::filesystem::path& path) : path_(path), file_(open_for_reading(path)) {}

  std::size_t read(char* into, std::size_t bytes) override {
    const std::size_t got = read_some(file_, into, bytes, path_);
    position_ += got;
    return got;
  }
  std::size_t position() const override { return position_; }

 private:
  std::filesystem::path path_;
  FileDescriptor file_;
  std::size_t position_ = 0;
};

std::string small_extension(const std::filesystem::path& path) {
  std::string extension = path.extension().string();
  for (char& c : extension) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return extension;
}

}  // namespace

std::unique_ptr<ByteSource> open_plain(const std::filesystem::path& path) {
  return std::make_unique<PlainFile>(path);
}

std::unique_ptr<ByteSource> open_by_name(const std::filesystem::path& path) {
  const std::string extension = small_extension(path);
  if (extension == ".gz") return open_gzip(path);
  return extension == ".zst" ? open_zstd(path) : open_plain(path);
}

std::string inner_extension(const std::filesystem::path& path) {
  const std::string extension = small_extension(path);
  return extension == ".gz" || extension == ".zst" ? small_extension(path.stem()) : extension;
}

}  // namespace shine
