#include "io/files/packed_input.h"

#include "shine/common/error.h"

namespace shine {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{256} << 10;
constexpr std::size_t kAlwaysAllowed = std::size_t{1} << 30;
constexpr std::size_t kLargestRatio = 200;

}  // namespace

PackedInput::PackedInput(const std::filesystem::path& path)
    : path_(path), file_(open_for_reading(path)), buffer_(kPieceBytes) {}

std::string_view PackedInput::peek() {
  if (begin_ == end_) {
    begin_ = 0;
    end_ = read_some(file_, buffer_.data(), buffer_.size(), path_);
    read_ += end_;
  }
  return {buffer_.data() + begin_, end_ - begin_};
}

void PackedInput::count_unpacked(std::size_t bytes) {
  unpacked_ += bytes;
  if (unpacked_ > kAlwaysAllowed && (unpacked_ - kAlwaysAllowed) / kLargestRatio > read_) {
    fail(str("unpacks to more than 1 GiB and ", kLargestRatio, " times its size; refused"),
         "if that is right, unpack it and name the unpacked file");
  }
}

void PackedInput::fail(std::string_view what, std::string_view cure) const {
  throw FormatError(what, path_.string(), cure);
}

}  // namespace shine
