#include <zstd.h>
#include <zstd_errors.h>

#include "io/files/byte_source.h"
#include "io/files/packed_input.h"
#include "shine/common/error.h"

namespace shine {
namespace {

bool begins_frame(std::string_view bytes) {
  constexpr std::string_view data = "\x28\xb5\x2f\xfd", skipped = "\x2a\x4d\x18";
  return bytes.starts_with(data) || (bytes.size() > 3 && (bytes[0] & 0xf0) == 0x50 && bytes.substr(1, 3) == skipped);
}

/// Decompresses the frames of a zstd file.
class ZstdFile : public ByteSource {
 public:
  explicit ZstdFile(const std::filesystem::path& path)
      : input_(path), stream_(::ZSTD_createDStream(), ::ZSTD_freeDStream) {
    if (!stream_) throw Error("libzstd cannot be set up", path.string());
    if (!begins_frame(input_.peek())) {
      input_.fail("is named .zst and is no zstd file", "rename it, if it is unpacked already");
    }
  }

  std::size_t read(char* into, std::size_t bytes) override {
    ZSTD_outBuffer unpacked{into, bytes, 0};
    while (unpacked.pos < bytes) {
      const std::string_view packed = input_.peek();
      if (packed.empty() && !in_frame_) break;
      const std::size_t before = unpacked.pos;
      ZSTD_inBuffer in{packed.data(), packed.size(), 0};
      const std::size_t status = ::ZSTD_decompressStream(stream_.get(), &unpacked, &in);
      if (::ZSTD_isError(status) != 0) fail(status);
      input_.consume(in.pos);
      input_.count_unpacked(unpacked.pos - before);
      in_frame_ = status != 0;
      if (packed.empty() && in_frame_ && unpacked.pos == before) input_.fail("the zstd data are cut short");
    }
    return unpacked.pos;
  }
  std::size_t position() const override { return input_.position(); }

 private:
  [[noreturn]] void fail(std::size_t status) const {
    if (::ZSTD_getErrorCode(status) == ZSTD_error_frameParameter_windowTooLarge) {
      input_.fail("needs a window of more than 128 MiB to unpack",
                  "pack it without --long, or unpack it: zstd -d --long=31");
    }
    input_.fail(str("damaged zstd data: ", ::ZSTD_getErrorName(status)));
  }

  PackedInput input_;
  std::unique_ptr<ZSTD_DStream, decltype(&::ZSTD_freeDStream)> stream_;
  bool in_frame_ = false;
};

}  // namespace

std::unique_ptr<ByteSource> open_zstd(const std::filesystem::path& path) {
  return std::make_unique<ZstdFile>(path);
}

}  // namespace shine
