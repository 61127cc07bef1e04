#include <zlib.h>

#include <algorithm>
#include <string>

#include "io/files/byte_source.h"
#include "io/files/packed_input.h"
#include "shine/common/error.h"

namespace shine {
namespace {

constexpr int kGzipWindow = 15 + 16;  // the largest window, with gzip's header and checksum
constexpr std::size_t kMostAtOnce = std::size_t{1} << 30;

/// Inflates the members of a gzip file. Zero bytes behind a member are padding, as for gzip and Python.
class GzipFile : public ByteSource {
 public:
  explicit GzipFile(const std::filesystem::path& path) : input_(path) {
    if (::inflateInit2(&stream_, kGzipWindow) != Z_OK) throw Error("zlib cannot be set up", path.string());
    if (!input_.peek().starts_with('\x1f')) {
      ::inflateEnd(&stream_);
      input_.fail("is named .gz and is no gzip file", "rename it, if it is unpacked already");
    }
  }
  ~GzipFile() override { ::inflateEnd(&stream_); }
  GzipFile(const GzipFile&) = delete;
  GzipFile& operator=(const GzipFile&) = delete;

  std::size_t read(char* into, std::size_t bytes) override {
    std::size_t got = 0;
    while (got < bytes && (in_member_ || begin_member())) {
      const std::size_t count = inflate_some(into + got, std::min(bytes - got, kMostAtOnce));
      input_.count_unpacked(count);
      got += count;
    }
    return got;
  }
  std::size_t position() const override { return input_.position(); }

 private:
  /// False at the end of the file.
  bool begin_member() {
    std::string_view packed = input_.peek();
    while (members_ > 0 && packed.starts_with('\0')) {
      input_.consume(std::min(packed.find_first_not_of('\0'), packed.size()));
      packed = input_.peek();
    }
    if (packed.empty()) return false;
    if (members_ > 0 && !packed.starts_with('\x1f')) input_.fail("bytes after the end of the gzip data");
    if (members_++ > 0) ::inflateReset(&stream_);
    return in_member_ = true;
  }

  std::size_t inflate_some(char* into, std::size_t bytes) {
    const std::string_view packed = input_.peek();
    if (packed.empty()) input_.fail("the gzip data are cut short");
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
    stream_.avail_in = static_cast<uInt>(packed.size());
    stream_.next_out = reinterpret_cast<Bytef*>(into);
    stream_.avail_out = static_cast<uInt>(bytes);
    const int status = ::inflate(&stream_, Z_NO_FLUSH);
    if (status != Z_OK && status != Z_STREAM_END) {
      input_.fail(str("damaged gzip data: ", stream_.msg != nullptr ? stream_.msg : ::zError(status)));
    }
    input_.consume(packed.size() - stream_.avail_in);
    in_member_ = status != Z_STREAM_END;
    return bytes - stream_.avail_out;
  }

  PackedInput input_;
  z_stream stream_{};
  bool in_member_ = false;
  std::size_t members_ = 0;
};

}  // namespace

std::unique_ptr<ByteSource> open_gzip(const std::filesystem::path& path) {
  return std::make_unique<GzipFile>(path);
}

}  // namespace shine
