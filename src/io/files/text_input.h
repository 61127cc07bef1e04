#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "io/files/byte_source.h"
#include "io/files/text_file.h"
#include "io/files/wide_text.h"
#include "shine/common/api.h"

namespace shine {

/// What a text file may be.
enum class TextForm {
  bytes,  ///< anything, as it is: files of our own
  utf8,   ///< UTF-8: JSON
  any,    ///< UTF-8, or UTF-16 or UTF-32 with a byte order mark
};

/// A file's text as UTF-8, from its start to its end, without a byte order mark. Bytes that are no UTF-8 stay; what is
/// damaged in UTF-16 or UTF-32 becomes such a byte; that a file is in one of them is warned of once. With `utf8` and
/// `any`, files named .gz and .zst are unpacked.
class TextInput {
 public:
  /// Throws IoError (no file) and, with `utf8` and `any`, FormatError for what is no text by its first bytes: a packed
  /// file under another name, an archive, zero bytes (as of UTF-16 without a mark), with `utf8` UTF-16 and UTF-32.
  TextInput(const std::filesystem::path& path, TextForm form);

  /// Reads up to `bytes`, fewer only at the end. Throws as ByteSource::read.
  std::size_t read(char* into, std::size_t bytes);

  /// As ByteSource::position.
  std::size_t position() const { return source_->position(); }

 private:
  std::size_t read_bytes(char* into, std::size_t bytes);
  void decode_more();

  std::unique_ptr<ByteSource> source_;
  bool is_wide_ = false;
  WideEncoding encoding_;
  std::string head_;  ///< bytes that were looked at and not given out yet, from head_begin_
  std::size_t head_begin_ = 0;
  std::string packed_;   ///< wide text that is not decoded yet
  std::string decoded_;  ///< from decoded_begin_: not given out yet
  std::size_t decoded_begin_ = 0;
  bool at_end_ = false;
};

/// The whole text of a file as TextInput gives it. Throws as that, and FormatError (more than `max_bytes`).
SHINE_API std::string read_foreign_text(const std::filesystem::path& path, TextForm form,
                                        std::size_t max_bytes = kMaxTextBytes);

}  // namespace shine
